//! What is decided under thousands of schedules: whatever sources say and whatever comes of it, nothing is done that must
//! not be, and in the end those versions are loaded that should be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use salver_core_loader::{Aspired, AspiredVersions};
use salver_core_resource::Allocation;
use salver_core_servable::{ServableId, StreamName};
use salver_core_status::{Code, Status};

use super::engine::Rules;
use super::loaders::version;
use super::world::{Deed, Token, World};
use crate::streams::Streams;
use crate::{Policy, Retry, State};

const SCHEDULES: u64 = 10_000;
const STREAMS: [&str; 3] = ["a", "b", "c"];

/// Versions by number, with their revisions.
pub(super) type Set = BTreeMap<i64, u64>;

pub(super) fn rules(seed: u64) -> Rules {
    let total_resources =
        if seed.is_multiple_of(3) { Allocation::none() } else { Allocation::ram_bytes(150) };
    Rules {
        load_slots: 1 + (seed % 4) as usize,
        unload_slots: 1 + (seed / 4 % 2) as usize,
        retry: Retry { max_retries: 2, ..Retry::default() },
        total_resources,
        order: None,
    }
}

/// Says which versions there should be.
pub(super) fn aspire(world: &mut World<Streams<Token>>, name: &str, set: &Set) {
    let mut one = |(number, revision): (&i64, &u64)| {
        let is_bad = !world.is_tame && world.dice.chance(5);
        let token = world.token();
        let data = if is_bad { Err(Status::data_loss("lost")) } else { Ok(token) };
        Aspired { version: version(*number), revision: *revision, data }
    };
    let versions = Ok(set.iter().map(&mut one).collect());
    let aspired = AspiredVersions { stream: name.into(), versions };
    world.act(|streams, registry| streams.aspire(aspired, registry));
}

struct Play {
    policies: fn(&StreamName) -> Policy,
    world: World<Streams<Token>>,
    aspired: BTreeMap<StreamName, Set>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let policies: fn(&StreamName) -> Policy = match seed % 3 {
            0 => |_| Policy::AvailabilityPreserving,
            1 => |_| Policy::ResourcePreserving,
            _ => |name| match name.as_str() {
                "a" => Policy::AvailabilityPreserving,
                _ => Policy::ResourcePreserving,
            },
        };
        let streams = Streams::new(Policy::default(), Some(std::sync::Arc::new(policies)));
        Self { policies, world: World::new(rules(seed), streams, seed), aspired: BTreeMap::new() }
    }

    fn step(&mut self) {
        match self.world.dice.roll(10) {
            0..=2 => {
                let name = self.world.dice.pick(&STREAMS);
                let numbers = self.world.dice.roll(4);
                let dice = &mut self.world.dice;
                let set: Set = (0..numbers).map(|_| (dice.roll(5) as i64, dice.roll(2))).collect();
                self.aspired.insert(name.into(), set.clone());
                aspire(&mut self.world, name, &set);
            }
            3 if self.world.dice.chance(30) => {
                let versions = Err(Status::not_found("no directory"));
                let aspired = AspiredVersions { stream: self.world.dice.pick(&STREAMS).into(), versions };
                self.world.act(|streams, registry| streams.aspire(aspired, registry));
            }
            4 => {
                let time = Duration::from_millis(self.world.dice.roll(2000));
                self.world.pass_time(time);
            }
            5 if self.world.dice.chance(10) => {
                let slots = 1 + self.world.dice.roll(4) as usize;
                self.world.set_load_slots(slots);
            }
            _ => {
                self.world.progress();
            }
        }
        self.check();
    }

    fn is_aspired(&self, id: &ServableId) -> bool {
        self.aspired.get(&id.name).is_some_and(|set| set.contains_key(&id.version.number()))
    }

    /// Checks what was begun since it was checked last.
    fn check(&mut self) {
        for deed in self.world.take_log() {
            match deed {
                Deed::Load(id, beside) => {
                    assert!(self.is_aspired(&id), "{id} is loaded though it is not wanted");
                    if (self.policies)(&id.name) == Policy::ResourcePreserving {
                        assert!(
                            beside.iter().all(|other| self.is_aspired(other)),
                            "{id} is loaded beside the old"
                        );
                    }
                }
                Deed::Withdraw(id, beside) => {
                    assert!(!self.is_aspired(&id), "{id} is unloaded though it is wanted");
                    let is_any_aspired = self.aspired.get(&id.name).is_some_and(|set| !set.is_empty());
                    if (self.policies)(&id.name) == Policy::AvailabilityPreserving && is_any_aspired {
                        assert!(!beside.is_empty(), "{id} left a gap");
                    }
                }
            }
        }
    }

    /// At rest the loaded versions are those aspired, but for what failed.
    fn check_at_rest(&self) {
        let registry = self.world.core.registry();
        let ids = |name: &StreamName, set: &Set| -> Vec<_> {
            set.keys().map(|number| ServableId::new(name.clone(), version(*number))).collect()
        };
        for (name, set) in &self.aspired {
            let aspired = ids(name, set);
            for id in &aspired {
                let state = registry.state(id);
                let is_served = state == Some(State::Ready) && self.world.published.contains(id);
                assert!(is_served || state == Some(State::Failed), "{id} is {state:?} at rest");
            }
            let is_any_ready = aspired.iter().any(|id| registry.state(id) == Some(State::Ready));
            let surplus = self.world.published.iter().filter(|id| id.name == *name && !self.is_aspired(id));
            // For availability one old version is kept while everything aspired fails.
            let keeps_one = (self.policies)(name) == Policy::AvailabilityPreserving && !is_any_ready;
            let may_keep = usize::from(keeps_one && !aspired.is_empty());
            assert!(surplus.count() <= may_keep, "{name} serves what is not wanted");
        }
        let aspired: BTreeSet<_> = self.aspired.iter().flat_map(|(name, set)| ids(name, set)).collect();
        assert!(registry.ids().all(|id| aspired.contains(id) || self.world.published.contains(id)));
    }

    /// Nobody who would fit is left refused.
    fn check_refused(&mut self) {
        let refused = |play: &Self| -> BTreeSet<_> {
            let registry = play.world.core.registry();
            let is_refused = |id: &&ServableId| {
                registry.error(id).is_some_and(|error| error.code() == Code::ResourceExhausted)
            };
            registry.ids().filter(is_refused).cloned().collect()
        };
        let before = refused(self);
        self.world.act(|_, registry| registry.revive_what_fits());
        assert_eq!(refused(self), before, "it would fit");
    }
}

#[test]
fn whatever_sources_say_and_whatever_comes_of_it_the_loaded_set_ends_as_the_aspired_one() {
    let (mut n_jobs, mut n_refused) = (0, 0);
    for seed in 0..SCHEDULES {
        let mut play = Play::new(seed);
        for _ in 0..50 {
            play.step();
        }
        play.world.rest();
        play.check();
        play.check_at_rest();
        play.check_refused();
        let registry = play.world.core.registry();
        n_refused += registry
            .ids()
            .filter_map(|id| registry.error(id))
            .filter(|error| error.code() == Code::ResourceExhausted)
            .count();
        n_jobs += play.world.n_jobs;
        play.world.end();
    }
    assert!(n_jobs > SCHEDULES as usize * 20 && n_refused > 100, "{n_jobs} jobs, {n_refused} refused");
}

#[test]
fn one_whose_estimate_ends_after_the_old_is_wanted_no_more_is_held_back() {
    let mut world = World::new(rules(0), Streams::new(Policy::ResourcePreserving, None), 0);
    world.is_tame = true;
    let [old, new] = [1, 2].map(|number| ServableId::new("m", version(number)));
    aspire(&mut world, "m", &Set::from([(1, 0)]));
    world.rest();
    aspire(&mut world, "m", &Set::from([(1, 0), (2, 0)]));
    let states = |world: &World<_>| [&old, &new].map(|id| world.core.registry().state(id));
    assert_eq!(states(&world), [Some(State::Ready), Some(State::Estimating)]);
    aspire(&mut world, "m", &Set::from([(2, 0)]));
    world.finish_estimate(&new);
    assert_eq!(states(&world), [Some(State::Quiescing), Some(State::New)]);
    world.rest();
    assert_eq!(states(&world), [None, Some(State::Ready)]);
    world.end();
}

#[test]
fn one_that_was_refused_is_tried_again_when_another_takes_less_than_it_was_kept_waiting_for() {
    // There are 150 bytes.
    let mut world = World::new(rules(1), Streams::new(Policy::default(), None), 0);
    world.is_tame = true;
    let aspire_sized = |world: &mut World<_>, name: &str, revision: u64, bytes: u64| {
        let data = Ok(world.token_of(bytes, bytes));
        let versions = Ok(vec![Aspired { version: version(1), revision, data }]);
        let aspired = AspiredVersions { stream: name.into(), versions };
        world.act(|streams: &mut Streams<Token>, registry| streams.aspire(aspired, registry));
    };
    for (name, bytes) in [("old", 130), ("first", 90), ("second", 80)] {
        aspire_sized(&mut world, name, 0, bytes);
        world.rest();
    }
    let [first, second] = ["first", "second"].map(|name| ServableId::new(name, version(1)));
    let states = |world: &World<_>| [&first, &second].map(|id| world.core.registry().state(id));
    assert_eq!(states(&world), [Some(State::Failed); 2]);
    aspire(&mut world, "old", &Set::new());
    while states(&world)[0] == Some(State::Failed) {
        assert!(world.progress());
    }
    assert_eq!(states(&world), [Some(State::Estimating), Some(State::Failed)]);
    aspire_sized(&mut world, "first", 1, 5);
    world.rest();
    assert_eq!(states(&world), [Some(State::Ready); 2]);
    world.end();
}
