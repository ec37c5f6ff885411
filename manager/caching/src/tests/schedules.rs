//! The cache alone under random schedules: whatever happens in whatever order, the budget holds, nobody is forgotten and
//! nobody is answered twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use salver_core_servable::{ServableId, StreamName, Version};
use salver_core_status::Status;

use crate::cache::Cache;
use crate::entry::{Command, Rules, Size, Waiter};
use crate::meter::{Meter, Tick};
use crate::{BackOff, Eviction};

const NAMES: [&str; 3] = ["a", "b", "c"];
const VERSIONS: i64 = 3;
const BUDGET: u64 = 10;

#[derive(Clone, Debug)]
enum Step {
    Request(usize, Option<i64>),
    Refresh(usize),
    Leave(Index),
    /// A request that hits.
    Touch(usize, i64),
    Pin(usize, i64),
    Unpin(usize, i64),
    /// Something under way ends, well or not.
    Progress(Index, bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let version = 0..VERSIONS;
    prop_oneof![
        6 => (name.clone(), prop::option::of(version.clone())).prop_map(|(name, number)| Step::Request(name, number)),
        1 => name.clone().prop_map(Step::Refresh),
        2 => any::<Index>().prop_map(Step::Leave),
        2 => (name.clone(), version.clone()).prop_map(|(name, number)| Step::Touch(name, number)),
        1 => (name.clone(), version.clone()).prop_map(|(name, number)| Step::Pin(name, number)),
        1 => (name, version).prop_map(|(name, number)| Step::Unpin(name, number)),
        10 => (any::<Index>(), prop::bool::weighted(0.8)).prop_map(|(index, is_good)| Step::Progress(index, is_good)),
        2 => (0_u64..3000).prop_map(Step::Wait),
    ]
}

/// What was asked of the world.
enum Job {
    Ask(StreamName),
    Make(ServableId),
    Load(ServableId),
    Unload(ServableId),
}

/// Plays the driver, and checks every command.
struct World {
    cache: Cache<u64, u64>,
    now: Instant,
    began: Instant,
    next: u64,
    waiting: BTreeMap<u64, StreamName>,
    jobs: Vec<Job>,
    /// Loading, loaded or leaving, with what it takes, loaded or not.
    resident: BTreeMap<ServableId, u64>,
    loaded: BTreeMap<ServableId, Arc<Meter>>,
    loading: BTreeMap<ServableId, Arc<Meter>>,
    pins: BTreeMap<ServableId, usize>,
    labels: BTreeMap<StreamName, Version>,
    is_closed: bool,
}

fn id(name: usize, number: i64) -> ServableId {
    ServableId::new(NAMES[name], Version::new(number).unwrap())
}

/// What a version takes while it is being loaded, afterwards by estimate, and afterwards in truth.
fn sizes(id: &ServableId) -> (u64, u64, u64) {
    let number = id.version.number() as u64;
    match id.name.as_str() {
        "a" => (1 + number, 1 + number, 1 + number),
        "b" => (4 + 2 * number, 3 + number, 2 + number),
        // The last of these does not fit at all.
        _ => (3 + 4 * number, 3 + 4 * number, 3 + 4 * number),
    }
}

impl World {
    fn new(eviction: Eviction) -> Self {
        let now = Instant::now();
        let rules = Rules {
            budget_bytes: BUDGET,
            eviction,
            back_off: BackOff::default(),
            max_failures: 4,
            max_pending: 5,
        };
        Self {
            cache: Cache::new(rules, now),
            now,
            began: now,
            next: 0,
            waiting: BTreeMap::new(),
            jobs: Vec::new(),
            resident: BTreeMap::new(),
            loaded: BTreeMap::new(),
            loading: BTreeMap::new(),
            pins: BTreeMap::new(),
            labels: BTreeMap::new(),
            is_closed: false,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Request(name, number) => {
                self.next += 1;
                self.waiting.insert(self.next, NAMES[name].into());
                let waiter = Waiter { number: self.next, answer: self.next };
                let version = number.map(|number| Version::new(number).unwrap());
                let commands = self.cache.request(&NAMES[name].into(), version, waiter, self.now);
                self.carry_out(commands);
            }
            Step::Refresh(name) => {
                let commands = self.cache.refresh(&NAMES[name].into(), self.now);
                self.carry_out(commands);
            }
            Step::Leave(index) if !self.waiting.is_empty() => {
                let number = *self.waiting.keys().nth(index.index(self.waiting.len())).unwrap();
                let name = self.waiting.remove(&number).unwrap();
                let (left, commands) = self.cache.leave(&name, number, self.now);
                assert_eq!(left, Some(number));
                self.carry_out(commands);
            }
            Step::Leave(_) => {}
            Step::Touch(name, number) => {
                if let Some(meter) = self.loaded.get(&id(name, number)) {
                    meter.touch(Tick::of(self.now, self.began));
                }
            }
            Step::Pin(name, number) => {
                *self.pins.entry(id(name, number)).or_default() += 1;
                let commands = self.cache.pin(id(name, number), self.now);
                self.carry_out(commands);
            }
            Step::Unpin(name, number) => self.unpin(&id(name, number)),
            Step::Progress(index, is_good) if !self.jobs.is_empty() => {
                let job = self.jobs.remove(index.index(self.jobs.len()));
                self.finish(job, is_good);
            }
            Step::Progress(..) => {}
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
        }
        self.check();
    }

    fn unpin(&mut self, id: &ServableId) {
        let count = self.pins.get(id).copied().unwrap_or(0);
        let (was_pinned, commands) = self.cache.unpin(id, self.now);
        assert_eq!(was_pinned, count > 0);
        self.pins.insert(id.clone(), count.saturating_sub(1));
        self.carry_out(commands);
    }

    fn finish(&mut self, job: Job, is_good: bool) {
        let bad = || Status::data_loss("bad");
        let commands = match job {
            Job::Ask(name) => {
                let version = Version::new(self.now.duration_since(self.began).as_secs() as i64 % VERSIONS);
                let outcome = if is_good { Ok(version.unwrap()) } else { Err(bad()) };
                self.cache.latest_known(&name, outcome, self.now)
            }
            Job::Make(id) => {
                let (loading, loaded, measured) = sizes(&id);
                let outcome = if is_good { Ok((measured, Size { loading, loaded })) } else { Err(bad()) };
                self.cache.made(&id, outcome, self.now)
            }
            Job::Load(id) => {
                let meter = self.loading.remove(&id).unwrap();
                if is_good {
                    let bytes = sizes(&id).2;
                    meter.measure(bytes);
                    self.resident.insert(id.clone(), bytes);
                    self.loaded.insert(id.clone(), meter);
                } else {
                    self.resident.remove(&id);
                }
                self.cache.load_ended(&id, if is_good { Ok(()) } else { Err(bad()) }, self.now)
            }
            Job::Unload(id) => {
                self.resident.remove(&id);
                self.cache.unload_ended(&id, self.now)
            }
        };
        self.carry_out(commands);
    }

    fn carry_out(&mut self, commands: Vec<Command<u64, u64>>) {
        for command in commands {
            match command {
                Command::AskLatest(name) => self.jobs.push(Job::Ask(name)),
                Command::Make(id) => {
                    assert!(!self.resident.contains_key(&id), "{id} is made while it is here");
                    self.jobs.push(Job::Make(id));
                }
                Command::Load(id, _, meter) => {
                    assert!(self.resident.insert(id.clone(), sizes(&id).0).is_none(), "{id} is loaded twice");
                    self.loading.insert(id.clone(), meter);
                    self.jobs.push(Job::Load(id));
                }
                Command::Unload(id) => {
                    assert!(self.loaded.remove(&id).is_some(), "{id} is not loaded");
                    assert_eq!(self.pins.get(&id).copied().unwrap_or(0), 0, "{id} is pinned");
                    self.jobs.push(Job::Unload(id));
                }
                Command::Label(name, Some(version)) => {
                    assert!(self.loaded.contains_key(&ServableId::new(name.clone(), version)));
                    self.labels.insert(name, version);
                }
                Command::Label(name, None) => assert!(self.labels.remove(&name).is_some()),
                Command::Answer(number, answer) => {
                    let name = self.waiting.remove(&number).expect("nobody is answered twice");
                    if let Ok(id) = answer {
                        assert!(self.loaded.contains_key(&id), "{id} was the answer, and is not loaded");
                        assert_eq!(id.name, name);
                    }
                }
                Command::Drop(_) => {}
            }
        }
    }

    fn check(&self) {
        let used: u64 = self.resident.values().sum();
        assert!(used <= BUDGET, "{used} of {BUDGET}");
        let levels = self.cache.levels();
        assert_eq!(levels.used_bytes, used);
        assert_eq!((levels.loaded, levels.waiting), (self.loaded.len(), self.waiting.len()));
        assert!(self.waiting.is_empty() || !self.jobs.is_empty(), "somebody waits and nothing is under way");
        for (name, version) in &self.labels {
            assert!(self.loaded.contains_key(&ServableId::new(name.clone(), *version)));
        }
        let making = self.jobs.iter().filter_map(|job| match job {
            Job::Make(id) => Some(id),
            _ => None,
        });
        let making: Vec<_> = making.collect();
        assert_eq!(making.iter().collect::<BTreeSet<_>>().len(), making.len(), "one is made twice");
    }

    /// Lets everything that is under way end.
    fn settle(&mut self) {
        let mut rounds = 0;
        while let Some(job) = self.jobs.pop() {
            self.finish(job, true);
            self.check();
            rounds += 1;
            assert!(rounds < 1000, "it does not come to rest");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_budget_is_never_exceeded_and_everybody_is_answered_once(
        is_cost_aware in any::<bool>(),
        steps in prop::collection::vec(step(), 0..120),
        is_closed_at_last in any::<bool>(),
    ) {
        let eviction = if is_cost_aware { Eviction::CostAware } else { Eviction::LeastRecentlyUsed };
        let mut world = World::new(eviction);
        for step in steps {
            world.take(step);
        }
        if is_closed_at_last {
            world.is_closed = true;
            let commands = world.cache.close();
            world.carry_out(commands);
            assert!(world.waiting.is_empty());
        }
        world.settle();
        prop_assert!(world.waiting.is_empty());
        if !world.is_closed {
            // Whatever was pinned, failed or evicted before can be had in the end.
            for pinned in world.pins.clone().into_keys() {
                while world.pins[&pinned] > 0 {
                    world.unpin(&pinned);
                }
            }
            world.settle();
            world.now += Duration::from_secs(60);
            world.take(Step::Request(0, Some(1)));
            world.settle();
            prop_assert!(world.loaded.contains_key(&id(0, 1)));
        }
    }
}
