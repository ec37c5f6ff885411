//! The reconciler alone: whatever the order in which sources speak and loads and unloads end, it does nothing that
//! it must not, and it ends with the versions that were aspired last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use proptest::prelude::*;
use proptest::sample::Index;
use salver_core_loader::{Aspired, AspiredVersions};
use salver_core_servable::{ServableId, ServableState, StateEvent, StreamName};
use salver_core_status::Status;

use super::fixture::version;
use crate::Policy;
use crate::reconcile::{Input, Reconciler};
use crate::stream::Command;

const LOAD_THREADS: usize = 2;
const STREAMS: [&str; 3] = ["a", "b", "c"];

/// Versions by number, with their revisions.
type Set = BTreeMap<i64, u64>;

#[derive(Clone, Debug)]
enum Step {
    Aspire(usize, Set),
    Trouble(usize),
    /// One of the things under way ends.
    Progress(Index),
}

/// How a version of a revision fares: 0 loads, 1 fails, 2 arrives with an error.
fn fate(number: i64, revision: u64) -> u64 {
    match number {
        0 => 1,
        1 => [2, 1, 0][revision as usize % 3],
        _ => [0, 1, 0][revision as usize % 3],
    }
}

fn lost() -> Status {
    Status::data_loss("lost")
}

/// Something under way.
#[derive(Clone, Debug)]
enum Job {
    Load(ServableId, u64),
    Vacate(ServableId),
    Unload(ServableId),
}

/// Plays the driver, and checks every command.
struct World {
    policy: Policy,
    reconciler: Reconciler<u64>,
    aspired: BTreeMap<StreamName, Set>,
    jobs: Vec<Job>,
    /// Loaded and not yet unloaded, whether requests find it or not.
    loaded: BTreeSet<ServableId>,
    published: BTreeSet<ServableId>,
    states: BTreeMap<ServableId, ServableState>,
}

impl World {
    fn new(policy: Policy) -> Self {
        let reconciler = Reconciler::new(policy, LOAD_THREADS);
        let (aspired, states) = (BTreeMap::new(), BTreeMap::new());
        let (jobs, loaded, published) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        Self { policy, reconciler, aspired, jobs, loaded, published, states }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Aspire(stream, set) => self.aspire(STREAMS[stream], set),
            Step::Trouble(stream) => {
                let versions = Err(Status::not_found("no directory"));
                self.apply(Input::Aspired(AspiredVersions { stream: STREAMS[stream].into(), versions }));
            }
            Step::Progress(index) if !self.jobs.is_empty() => {
                let job = self.jobs.remove(index.index(self.jobs.len()));
                self.finish(job);
            }
            Step::Progress(_) => {}
        }
    }

    fn aspire(&mut self, name: &str, set: Set) {
        let one = |(number, revision): (&i64, &u64)| {
            let data = if fate(*number, *revision) == 2 { Err(lost()) } else { Ok(*revision) };
            Aspired { version: version(*number), revision: *revision, data }
        };
        let versions = Ok(set.iter().map(one).collect());
        self.aspired.insert(name.into(), set);
        self.apply(Input::Aspired(AspiredVersions { stream: name.into(), versions }));
    }

    fn finish(&mut self, job: Job) {
        match job {
            Job::Load(id, revision) => {
                let is_loaded = fate(id.version.number(), revision) == 0;
                if is_loaded {
                    assert!(self.loaded.insert(id.clone()));
                }
                self.apply(Input::LoadEnded(id, if is_loaded { Ok(()) } else { Err(lost()) }));
            }
            Job::Vacate(id) => self.apply(Input::Vacant(id)),
            Job::Unload(id) => self.apply(Input::UnloadEnded(id)),
        }
    }

    fn apply(&mut self, input: Input<u64>) {
        for command in self.reconciler.apply(input, SystemTime::UNIX_EPOCH) {
            self.check(command);
        }
    }

    fn is_aspired(&self, id: &ServableId) -> bool {
        self.aspired.get(&id.name).is_some_and(|set| set.contains_key(&id.version.number()))
    }

    fn check(&mut self, command: Command<u64>) {
        match command {
            Command::Load { id, data, .. } => {
                assert!(self.is_aspired(&id) && !self.loaded.contains(&id));
                if self.policy == Policy::ResourcePreserving {
                    let mut others = self.loaded.iter().filter(|other| other.name == id.name);
                    assert!(others.all(|other| self.is_aspired(other)), "{id} is loaded beside the old");
                }
                self.jobs.push(Job::Load(id, data));
                let n_loads = self.jobs.iter().filter(|job| matches!(job, Job::Load(..))).count();
                assert!(n_loads <= LOAD_THREADS);
            }
            Command::Publish(id) => {
                assert!(self.is_aspired(&id) && self.loaded.contains(&id));
                assert!(self.published.insert(id));
            }
            Command::Withdraw(id) => {
                assert!(!self.is_aspired(&id), "{id} is unloaded though it is wanted");
                assert!(self.published.remove(&id));
                let is_any_aspired = self.aspired.get(&id.name).is_some_and(|set| !set.is_empty());
                if self.policy == Policy::AvailabilityPreserving && is_any_aspired {
                    assert!(self.published.iter().any(|other| other.name == id.name), "{id} left a gap");
                }
                self.jobs.push(Job::Vacate(id));
            }
            Command::Unload(id) => {
                assert!(!self.published.contains(&id));
                assert!(self.loaded.remove(&id));
                self.jobs.push(Job::Unload(id));
            }
            Command::Report(StateEvent::Version { id, state, error, .. }) => {
                let before = self.states.insert(id.clone(), state);
                let is_new = before.is_none_or(|before| before == ServableState::End);
                let follows = before.is_some_and(|before| before < state);
                assert!(is_new || follows, "{id}: {state:?} after {before:?}");
                assert!(error.is_none() || state == ServableState::End);
                let is_found = self.published.contains(&id);
                match state {
                    ServableState::Available => assert!(is_found, "told before it is usable"),
                    ServableState::Unloading => {
                        assert_eq!(
                            is_found,
                            before == Some(ServableState::Available),
                            "told after it was taken away"
                        );
                    }
                    ServableState::Start | ServableState::Loading | ServableState::End => assert!(!is_found),
                }
            }
            Command::Report(StateEvent::Progress { .. } | StateEvent::Stream { .. }) => {}
        }
    }
}

fn sets() -> impl Strategy<Value = Set> {
    prop::collection::btree_map(0..5_i64, 0..3_u64, 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..STREAMS.len(), sets()).prop_map(|(stream, set)| Step::Aspire(stream, set)),
        1 => (0..STREAMS.len()).prop_map(Step::Trouble),
        6 => any::<Index>().prop_map(Step::Progress),
    ];
    prop::collection::vec(step, 0..80)
}

fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::AvailabilityPreserving), Just(Policy::ResourcePreserving)]
}

proptest! {
    #[test]
    fn any_interleaving_ends_with_the_versions_that_were_aspired_last(
        policy in policies(),
        steps in steps(),
        last in prop::array::uniform3(sets()),
        order in prop::collection::vec(any::<Index>(), 1..20),
    ) {
        let mut world = World::new(policy);
        for step in steps {
            world.take(step);
        }
        for (name, set) in STREAMS.iter().zip(&last) {
            world.aspire(name, set.clone());
        }
        // Sets repeated while things are under way change nothing in the end.
        let mut order = order.into_iter().cycle();
        for turn in 0.. {
            if world.jobs.is_empty() {
                break;
            }
            prop_assert!(turn < 1000, "no end of work");
            world.take(Step::Progress(order.next().unwrap()));
            let stream = turn % STREAMS.len();
            world.aspire(STREAMS[stream], last[stream].clone());
        }
        for (name, set) in STREAMS.iter().zip(&last) {
            let mut may_serve = BTreeSet::new();
            let mut must_serve = BTreeSet::new();
            for (number, revision) in set {
                // One that was loaded from an earlier revision stays as it is.
                if (0..3).any(|revision| fate(*number, revision) == 0) {
                    may_serve.insert(*number);
                }
                if fate(*number, *revision) == 0 {
                    must_serve.insert(*number);
                }
            }
            let of_stream = world.published.iter().filter(|id| id.name.as_str() == *name);
            let mut serving: BTreeSet<_> = of_stream.map(|id| id.version.number()).collect();
            prop_assert!(must_serve.is_subset(&serving), "{name} serves {serving:?}, wanted {must_serve:?}");
            // For availability one old version is kept while everything aspired fails.
            let is_all_failed = serving.is_disjoint(&may_serve) && !set.is_empty();
            if policy == Policy::AvailabilityPreserving && is_all_failed && serving.len() == 1 {
                serving.clear();
            }
            prop_assert!(serving.is_subset(&may_serve), "{name} serves {serving:?}, allowed {may_serve:?}");
        }
        let published = world.published.clone();
        prop_assert_eq!(&world.loaded, &published);

        world.aspired.clear();
        world.apply(Input::UnaspireAll);
        while let Some(job) = world.jobs.pop() {
            world.finish(job);
        }
        prop_assert!(world.reconciler.is_over() && world.loaded.is_empty());
    }
}
