//! Allocations as tests write them: `main:0 ram 5, gpu ram 7`.

use proptest::prelude::*;

use crate::{Allocation, Resource};

/// Reads an allocation.
pub(crate) fn of(text: &str) -> Allocation {
    let read = |entry: &str| {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [device, kind, quantity] = words[..] else {
            panic!("`{entry}` is not `device[:instance] kind quantity`")
        };
        let resource = match device.split_once(':') {
            Some((device, instance)) => Resource::bound(device, instance.parse().unwrap(), kind),
            None => Resource::unbound(device, kind),
        };
        (resource, quantity.parse().unwrap())
    };
    text.split(',').filter(|entry| !entry.trim().is_empty()).map(read).collect()
}

/// Allocations over few resources, so that two of them meet; quantities from `quantity`.
pub(crate) fn any_allocation(quantity: impl Strategy<Value = u64>) -> impl Strategy<Value = Allocation> {
    let device = prop_oneof!["main", "gpu"];
    let resource = (device, proptest::option::of(0..2_u32), prop_oneof!["ram", "slots"])
        .prop_map(|(device, instance, kind)| Resource { device, instance, kind });
    proptest::collection::btree_map(resource, quantity, 0..6).prop_map(Allocation::from_iter)
}

/// Small quantities and such as overflow when added.
pub(crate) fn any_quantity() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, Just(u64::MAX), Just(u64::MAX - 3), any::<u64>()]
}
