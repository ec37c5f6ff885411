//! Callbacks say what should be, not what should be done: whatever was said before, in which order the last sets of
//! several streams are said, how often, and what happens in between, the same versions are loaded in the end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use salver_core_resource::Allocation;

use super::engine::Rules;
use super::schedules::{Set, aspire, rules};
use super::world::World;
use crate::Policy;
use crate::streams::Streams;

const STREAMS: [&str; 3] = ["a", "b", "c"];

/// One callback, and how much of what is under way is done before the next.
type Callback = (usize, Set, usize);

/// Version 0 always fails. Without others a stream may keep an old one, which depends on what there was.
fn sets() -> impl Strategy<Value = Set> {
    prop::collection::btree_map(0..5_i64, 0..2_u64, 0..4)
        .prop_filter("only what fails", |set| set.len() != 1 || !set.contains_key(&0))
}

fn callbacks(sets: impl Strategy<Value = Set>) -> impl Strategy<Value = Vec<Callback>> {
    prop::collection::vec((0..STREAMS.len(), sets, 0..4_usize), 0..30)
}

fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::AvailabilityPreserving), Just(Policy::ResourcePreserving)]
}

proptest! {
    #[test]
    fn any_order_repetition_and_batching_of_callbacks_with_the_same_last_sets_ends_in_the_same_loaded_set(
        seed in any::<u64>(),
        policy in policies(),
        before in callbacks(sets()),
        last in prop::array::uniform3(sets()),
        repetitions in prop::collection::vec((any::<Index>(), 0..4_usize), 0..12),
        order in Just((0..STREAMS.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let rules = Rules { total_resources: Allocation::none(), ..rules(seed) };
        let mut world = World::new(rules, Streams::new(policy, None), seed);
        world.is_tame = true;
        let repeated = repetitions.into_iter().map(|(index, progress)| (index.index(STREAMS.len()), progress));
        let said_last = order.into_iter().map(|stream| (stream, 0)).chain(repeated);
        let said_last = said_last.map(|(stream, progress)| (stream, last[stream].clone(), progress));
        for (stream, set, progress) in before.into_iter().chain(said_last) {
            aspire(&mut world, STREAMS[stream], &set);
            for _ in 0..progress {
                world.progress();
            }
        }
        world.rest();
        let loaded: BTreeSet<_> = world.published.iter().map(|id| (id.name.as_str().to_owned(), id.version.number())).collect();
        let of_stream = |(name, set): (&&str, &BTreeMap<i64, u64>)| {
            set.keys().filter(|number| **number != 0).map(|number| ((*name).to_owned(), *number)).collect::<Vec<_>>()
        };
        let wanted: BTreeSet<_> = STREAMS.iter().zip(&last).flat_map(of_stream).collect();
        prop_assert_eq!(loaded, wanted);
        world.end();
    }
}
