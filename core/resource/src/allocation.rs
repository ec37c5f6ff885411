//! So much of each resource.

use std::collections::BTreeMap;
use std::fmt;

/// A kind of thing on a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Such as [`MAIN`](crate::MAIN).
    pub device: String,
    /// Which of several devices; `None` where that is not decided yet.
    pub instance: Option<u32>,
    /// Such as [`RAM_BYTES`](crate::RAM_BYTES).
    pub kind: String,
}

/// So much of each resource. What is not named is zero, and zeros are not kept, so that equal allocations compare equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation(BTreeMap<Resource, u64>);

impl Resource {
    /// A resource of one of several devices.
    pub fn bound(device: impl Into<String>, instance: u32, kind: impl Into<String>) -> Self {
        Self { device: device.into(), instance: Some(instance), kind: kind.into() }
    }

    /// A resource of any device of that name.
    pub fn unbound(device: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { device: device.into(), instance: None, kind: kind.into() }
    }

    /// Bytes of the machine's own memory.
    pub fn ram() -> Self {
        Self::bound(crate::MAIN, 0, crate::RAM_BYTES)
    }

    /// Whether a quantity of this may be placed there: the same, or the instance is open here.
    pub(crate) fn may_be(&self, place: &Resource) -> bool {
        self.device == place.device
            && self.kind == place.kind
            && (self.instance.is_none() || self.instance == place.instance)
    }
}

/// Shows as `main:0 ram_in_bytes`, and as `gpu ram_in_bytes` where the instance is open.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Some(instance) => write!(f, "{}:{instance} {}", self.device, self.kind),
            None => write!(f, "{} {}", self.device, self.kind),
        }
    }
}

impl Allocation {
    /// Nothing of anything.
    pub fn none() -> Self {
        Self::default()
    }

    /// So many bytes of the machine's own memory.
    pub fn ram_bytes(bytes: u64) -> Self {
        let mut allocation = Self::none();
        allocation.set(Resource::ram(), bytes);
        allocation
    }

    /// How much of a resource there is in it.
    pub fn get(&self, resource: &Resource) -> u64 {
        self.0.get(resource).copied().unwrap_or(0)
    }

    /// Sets how much of a resource there is in it.
    pub fn set(&mut self, resource: Resource, quantity: u64) {
        if quantity == 0 {
            self.0.remove(&resource);
        } else {
            self.0.insert(resource, quantity);
        }
    }

    /// Every resource of which there is some, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Resource, u64)> {
        self.0.iter().map(|(resource, quantity)| (resource, *quantity))
    }

    /// Whether there is nothing in it.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shows as `gpu ram_in_bytes: 7, main:0 ram_in_bytes: 5`, and as `nothing`.
impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("nothing");
        }
        for (index, (resource, quantity)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{resource}: {quantity}")?;
        }
        Ok(())
    }
}

/// Of several quantities of the same resource the last counts.
impl FromIterator<(Resource, u64)> for Allocation {
    fn from_iter<I: IntoIterator<Item = (Resource, u64)>>(quantities: I) -> Self {
        let mut allocation = Self::none();
        for (resource, quantity) in quantities {
            allocation.set(resource, quantity);
        }
        allocation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_resource_is_the_same_as_its_not_being_named() {
        let mut allocation = Allocation::ram_bytes(5);
        allocation.set(Resource::ram(), 0);
        assert_eq!(allocation, Allocation::none());
        assert_eq!(allocation.get(&Resource::ram()), 0);
    }

    #[test]
    fn an_allocation_shows_what_it_is_of_and_how_much() {
        let mut allocation = Allocation::ram_bytes(5);
        allocation.set(Resource::unbound(crate::GPU, crate::RAM_BYTES), 7);
        assert_eq!(allocation.to_string(), "gpu ram_in_bytes: 7, main:0 ram_in_bytes: 5");
        assert_eq!(Allocation::none().to_string(), "nothing");
    }
}
