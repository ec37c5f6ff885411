//! The manager with threads, as its users see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use salver_core_clock::ManualClock;
use salver_core_loader::{LoadContext, Loader};
use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::{ServableId, ServableState, StreamName, Version, VersionChoice};
use salver_core_status::{Code, Status};
use salver_manager_monitor::{Monitor, States};

use crate::{Cached, CachingManager, Eviction, LoaderFactory, Options};

const ANY: VersionChoice<'_> = VersionChoice::Latest;

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

fn exactly(number: i64) -> VersionChoice<'static> {
    VersionChoice::Specific(version(number))
}

fn id(name: &str, number: i64) -> ServableId {
    ServableId::new(name, version(number))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Makes texts of names and versions, which take a byte for each 10 of the version.
#[derive(Clone, Default)]
struct Texts(Arc<World>);

#[derive(Default)]
struct World {
    latest: Mutex<BTreeMap<String, i64>>,
    made: AtomicUsize,
    loads: Mutex<Vec<ServableId>>,
    unloads: Mutex<Vec<ServableId>>,
    /// Versions that do not load.
    bad: Mutex<BTreeSet<ServableId>>,
    /// Says of each load that it has begun, and waits for word to go on.
    gate: Mutex<Option<(Sender<ServableId>, Receiver<()>)>>,
}

struct Text(Arc<World>);

impl LoaderFactory for Texts {
    type Loader = Text;

    fn latest(&self, name: &StreamName) -> Result<Version, Status> {
        let latest = self.0.latest.lock().unwrap();
        latest
            .get(name.as_str())
            .map(|number| version(*number))
            .ok_or_else(|| Status::not_found("no such text"))
    }

    fn loader(&self, id: &ServableId) -> Result<Text, Status> {
        assert_ne!(id.name.as_str(), "panic");
        self.0.made.fetch_add(1, Ordering::SeqCst);
        Ok(Text(Arc::clone(&self.0)))
    }
}

impl Loader for Text {
    type Servable = Cached<String>;

    fn estimate(&mut self, id: &ServableId) -> Result<Estimate, Status> {
        Ok(Estimate::steady(Allocation::ram_bytes(id.version.number() as u64 / 10)))
    }

    fn load(&mut self, context: &LoadContext<'_>) -> Result<Cached<String>, Status> {
        let gate = self.0.gate.lock().unwrap().clone();
        if let Some((begun, go)) = gate {
            begun.send(context.id.clone()).unwrap();
            go.recv().unwrap();
        }
        self.0.loads.lock().unwrap().push(context.id.clone());
        if self.0.bad.lock().unwrap().contains(context.id) {
            return Err(Status::invalid_argument("bad text"));
        }
        Ok(Cached::new(format!("{}-{}", context.id.name, context.id.version)))
    }

    fn unload(&mut self, servable: Cached<String>) {
        let (name, number) = servable.rsplit_once('-').unwrap();
        self.0.unloads.lock().unwrap().push(id(name, number.parse().unwrap()));
    }
}

struct Fixture {
    texts: Texts,
    monitor: Arc<Monitor>,
    clock: ManualClock,
    manager: Arc<CachingManager<Texts>>,
}

fn started(budget_bytes: u64) -> Fixture {
    Fixture::start(budget_bytes, 4, Eviction::LeastRecentlyUsed)
}

impl Fixture {
    fn start(budget_bytes: u64, num_load_threads: usize, eviction: Eviction) -> Self {
        let (texts, monitor, clock) = (Texts::default(), Arc::new(Monitor::default()), ManualClock::new());
        let mut options = Options::new(budget_bytes, monitor.clone());
        options.clock = Arc::new(clock.clone());
        options.eviction = eviction;
        options.basic.num_load_threads = num_load_threads;
        let manager = CachingManager::start(options, texts.clone()).unwrap();
        Self { texts, monitor, clock, manager }
    }

    fn get(&self, name: &str, choice: VersionChoice<'_>) -> Result<String, Status> {
        self.manager.get(name, choice, soon()).map(|handle| {
            assert!(handle.starts_with(name) && handle.id().name.as_str() == name);
            String::clone(&handle)
        })
    }

    /// Holds every load from now on: word of its beginning, and leave to go on.
    fn hold_loads(&self) -> (Receiver<ServableId>, Sender<()>) {
        let (begin, begun) = unbounded();
        let (leave, go) = unbounded();
        *self.texts.0.gate.lock().unwrap() = Some((begin, go));
        (begun, leave)
    }

    fn set_latest(&self, name: &str, number: i64) {
        self.texts.0.latest.lock().unwrap().insert(name.to_owned(), number);
    }

    fn loads(&self) -> Vec<ServableId> {
        self.texts.0.loads.lock().unwrap().clone()
    }

    fn made(&self) -> usize {
        self.texts.0.made.load(Ordering::SeqCst)
    }

    fn state(&self, id: &ServableId) -> Option<(ServableState, Option<Status>)> {
        let found = self.monitor.version(id)?;
        Some((found.state, found.error))
    }
}

#[test]
fn a_version_is_loaded_when_it_is_first_asked_for() {
    let fixture = started(100);
    assert_eq!(fixture.manager.available(), []);
    assert!(fixture.manager.peek("m", exactly(30)).is_none());
    let handle = fixture.manager.get("m", exactly(30), soon()).unwrap();
    assert_eq!((handle.as_str(), handle.id()), ("m-30", &id("m", 30)));
    assert!(fixture.manager.peek("m", exactly(30)).is_some());
}

#[test]
fn versions_of_one_stream_and_other_streams_are_loaded_one_by_one_and_listed() {
    let fixture = started(100);
    for (name, number) in [("m", 30), ("m", 31), ("n", 32)] {
        assert_eq!(fixture.get(name, exactly(number)), Ok(format!("{name}-{number}")));
    }
    assert_eq!(fixture.manager.available(), [id("m", 30), id("m", 31), id("n", 32)]);
}

#[test]
fn repeated_requests_are_one_load() {
    let fixture = started(100);
    for _ in 0..3 {
        assert_eq!(fixture.get("m", exactly(30)), Ok("m-30".into()));
    }
    assert_eq!(fixture.loads(), [id("m", 30)]);
    let stats = fixture.manager.stats();
    assert_eq!((stats.hits, stats.misses, stats.loads, stats.used_bytes), (2, 1, 1, 3));
}

#[test]
fn the_factory_says_which_version_is_the_latest() {
    let fixture = started(100);
    fixture.set_latest("m", 30);
    assert_eq!(fixture.get("m", exactly(50)), Ok("m-50".into()));
    assert_eq!(fixture.get("m", ANY), Ok("m-30".into()), "whatever else is loaded");
}

#[test]
fn a_latest_version_that_is_loaded_already_is_found() {
    let fixture = started(100);
    assert_eq!(fixture.get("m", exactly(42)), Ok("m-42".into()));
    fixture.set_latest("m", 42);
    assert_eq!(fixture.get("m", ANY), Ok("m-42".into()));
    assert_eq!(fixture.get("m", ANY), Ok("m-42".into()));
    assert_eq!((fixture.loads().len(), fixture.made()), (1, 1));
}

#[test]
fn a_newer_latest_version_takes_over_once_it_is_loaded_and_nobody_waits_for_it() {
    let fixture = started(100);
    fixture.set_latest("m", 30);
    assert_eq!(fixture.get("m", ANY), Ok("m-30".into()));
    fixture.set_latest("m", 40);
    let (begun, leave) = fixture.hold_loads();
    fixture.clock.advance(Duration::from_secs(9));
    assert_eq!(fixture.get("m", ANY), Ok("m-30".into()));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.get("m", ANY), Ok("m-30".into()));
    assert_eq!(begun.recv(), Ok(id("m", 40)));
    assert_eq!(fixture.get("m", ANY), Ok("m-30".into()));
    // Who asks for the new version by its number is told when it is there; the latest one is that by then.
    let (sender, answered) = bounded(1);
    fixture.manager.request("m", exactly(40), move |_| sender.send(()).unwrap()).stay();
    leave.send(()).unwrap();
    answered.recv().unwrap();
    assert_eq!(fixture.get("m", ANY), Ok("m-40".into()));
}

#[test]
fn a_label_that_leads_to_nothing_loaded_is_refused() {
    let status = started(9).get("m", VersionChoice::Label("latest")).unwrap_err();
    let text = "label `latest` of `m` leads to no version that is loaded, wanted a version or none";
    assert_eq!(status, Status::invalid_argument(text));
}

#[test]
fn a_stream_that_the_factory_does_not_know_is_an_error() {
    let fixture = started(9);
    assert_eq!(fixture.get("m", ANY), Err(Status::not_found("no such text")));
}

#[test]
fn a_failed_load_is_an_error_is_reported_and_lists_nothing() {
    let fixture = started(100);
    fixture.texts.0.bad.lock().unwrap().insert(id("m", 30));
    let bad = Status::invalid_argument("bad text");
    assert_eq!(fixture.get("m", exactly(30)), Err(bad.clone()));
    assert_eq!(fixture.manager.available(), []);
    assert_eq!(fixture.state(&id("m", 30)), Some((ServableState::End, Some(bad))));
}

#[test]
fn a_loaded_version_is_reported_as_available() {
    let fixture = started(100);
    fixture.get("m", exactly(30)).unwrap();
    assert_eq!(fixture.state(&id("m", 30)), Some((ServableState::Available, None)));
}

#[test]
fn a_failed_version_is_tried_again_after_its_wait_and_can_succeed() {
    let fixture = started(100);
    fixture.texts.0.bad.lock().unwrap().insert(id("m", 30));
    fixture.get("m", exactly(30)).unwrap_err();
    fixture.texts.0.bad.lock().unwrap().clear();
    let again = "bad text (failed before; tried again in 1.0 s at the earliest)";
    assert_eq!(fixture.get("m", exactly(30)), Err(Status::invalid_argument(again)));
    assert_eq!(fixture.loads().len(), 1);
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.get("m", exactly(30)), Ok("m-30".into()));
}

#[test]
fn a_factory_that_panics_is_an_error_of_its_request_only() {
    let fixture = started(100);
    assert_eq!(fixture.get("panic", exactly(1)).unwrap_err().code(), Code::Internal);
    assert_eq!(fixture.get("m", exactly(1)), Ok("m-1".into()));
}

#[test]
fn concurrent_requests_for_different_versions_load_at_the_same_time() {
    let fixture = started(100);
    let (begun, leave) = fixture.hold_loads();
    thread::scope(|scope| {
        let gets: Vec<_> = (30..34)
            .map(|number| {
                let fixture = &fixture;
                scope.spawn(move || fixture.get("m", exactly(number)))
            })
            .collect();
        // Every load has begun before any may end.
        let all: BTreeSet<_> = (0..4).map(|_| begun.recv().unwrap()).collect();
        assert_eq!(all, (30..34).map(|number| id("m", number)).collect());
        (0..4).for_each(|_| leave.send(()).unwrap());
        for (number, get) in (30..34).zip(gets) {
            assert_eq!(get.join().unwrap(), Ok(format!("m-{number}")));
        }
    });
    assert_eq!(fixture.manager.available(), (30..34).map(|number| id("m", number)).collect::<Vec<_>>());
    assert_eq!(fixture.manager.stats().waiting, 0);
}

#[test]
fn concurrent_requests_for_the_same_versions_are_one_load_each_and_nobody_is_left_waiting() {
    for num_load_threads in [1, 4] {
        let fixture = Fixture::start(100, num_load_threads, Eviction::LeastRecentlyUsed);
        let start = Barrier::new(16);
        thread::scope(|scope| {
            for number in 0..16 {
                let (fixture, start) = (&fixture, &start);
                scope.spawn(move || {
                    start.wait();
                    let wanted = 30 + number % 2;
                    assert_eq!(fixture.get("m", exactly(wanted)), Ok(format!("m-{wanted}")));
                });
            }
        });
        assert_eq!((fixture.loads().len(), fixture.made()), (2, 2));
        assert_eq!(fixture.manager.available(), [id("m", 30), id("m", 31)]);
        assert_eq!(fixture.manager.stats().waiting, 0);
    }
}

#[test]
fn what_was_used_longest_ago_is_evicted_and_can_be_asked_for_again() {
    let fixture = started(10);
    for name in ["a", "b", "a"] {
        fixture.clock.advance(Duration::from_millis(1));
        fixture.get(name, exactly(50)).unwrap();
    }
    fixture.get("c", exactly(50)).unwrap();
    assert_eq!(fixture.manager.available(), [id("a", 50), id("c", 50)]);
    assert_eq!(fixture.texts.0.unloads.lock().unwrap()[..], [id("b", 50)]);
    assert_eq!(fixture.get("b", exactly(50)), Ok("b-50".into()));
    let stats = fixture.manager.stats();
    assert_eq!((stats.loads, stats.evictions, stats.used_bytes), (4, 2, 10));
}

#[test]
fn room_comes_only_when_the_last_handle_of_what_goes_is_dropped_and_who_waits_may_give_up() {
    let fixture = started(10);
    let held = fixture.manager.get("a", exactly(60), soon()).unwrap();
    let late = fixture.manager.get("b", exactly(60), Instant::now()).unwrap_err();
    assert_eq!(late, Status::deadline_exceeded("`b` was not loaded in time"));

    let (sender, answered) = bounded(1);
    fixture.manager.request("b", exactly(60), move |answer| drop(sender.send(answer))).stay();
    let is_going = |states: &States| {
        let version = states.stream("a").and_then(|stream| stream.version(version(60)));
        version.is_some_and(|status| status.state == ServableState::Unloading)
    };
    assert!(fixture.monitor.wait_until(is_going, soon()));
    assert_eq!(held.as_str(), "a-60", "good for whoever holds it");
    assert!(answered.try_recv().is_err());
    drop(held);
    assert_eq!(answered.recv().unwrap().unwrap().as_str(), "b-60");
    assert!(fixture.manager.peek("a", exactly(60)).is_none());
}

#[test]
fn who_gives_up_does_not_harm_the_load() {
    let fixture = started(10);
    let (begun, leave) = fixture.hold_loads();
    let (sender, answered) = bounded(2);
    let impatient = sender.clone();
    let ticket = fixture.manager.request("m", exactly(30), move |_| impatient.send("impatient").unwrap());
    begun.recv().unwrap();
    fixture.manager.request("m", exactly(30), move |_| sender.send("patient").unwrap()).stay();
    drop(ticket);
    leave.send(()).unwrap();
    assert_eq!(answered.recv(), Ok("patient"));
    assert!(answered.recv().is_err(), "nobody else is answered");
}

#[test]
fn what_is_larger_than_the_budget_is_refused() {
    let status = started(10).get("m", exactly(110)).unwrap_err();
    let text = "version 110 of `m` does not fit: wants 11 bytes, the whole budget is 10";
    assert_eq!(status, Status::resource_exhausted(text));
}

#[test]
fn a_pinned_version_stays_until_it_is_unpinned() {
    let fixture = started(10);
    fixture.manager.pin(id("a", 60));
    fixture.get("a", exactly(60)).unwrap();
    assert_eq!(fixture.get("b", exactly(60)).unwrap_err().code(), Code::ResourceExhausted);
    assert!(fixture.manager.unpin(&id("a", 60)));
    assert!(!fixture.manager.unpin(&id("a", 60)));
    assert_eq!(fixture.get("b", exactly(60)), Ok("b-60".into()));
}

#[test]
fn a_prefetched_version_is_loaded_before_it_is_asked_for() {
    let fixture = started(10);
    let (begun, leave) = fixture.hold_loads();
    fixture.manager.prefetch("m", exactly(30));
    assert_eq!(begun.recv(), Ok(id("m", 30)));
    leave.send(()).unwrap();
    assert_eq!(fixture.get("m", exactly(30)), Ok("m-30".into()));
    assert_eq!(fixture.loads().len(), 1);
}

#[test]
fn an_answer_that_panics_is_its_own_trouble() {
    let fixture = started(10);
    fixture.manager.request("m", exactly(30), |_| panic!("as told")).stay();
    assert_eq!(fixture.get("m", exactly(30)), Ok("m-30".into()));
    assert_eq!(fixture.get("n", exactly(30)), Ok("n-30".into()));
}

#[test]
fn shutting_down_answers_who_waits_unloads_everything_and_takes_in_no_more() {
    let fixture = started(10);
    let held = fixture.manager.get("a", exactly(60), soon()).unwrap();
    let (sender, answered) = bounded(1);
    fixture.manager.request("b", exactly(60), move |answer| drop(sender.send(answer))).stay();
    assert!(!fixture.manager.shut_down(Instant::now()), "a handle is held");
    assert_eq!(answered.recv().unwrap().unwrap_err().code(), Code::Unavailable);
    drop(held);
    assert!(fixture.manager.shut_down(soon()));
    assert_eq!(fixture.texts.0.unloads.lock().unwrap()[..], [id("a", 60)]);
    assert_eq!(fixture.get("a", exactly(60)).unwrap_err().code(), Code::Unavailable);
}

#[test]
fn the_budget_holds_while_many_threads_ask_for_more_than_fits() {
    for (num_load_threads, eviction) in [(1, Eviction::LeastRecentlyUsed), (4, Eviction::CostAware)] {
        let fixture = Fixture::start(20, num_load_threads, eviction);
        thread::scope(|scope| {
            for thread in 0..8_i64 {
                let fixture = &fixture;
                scope.spawn(move || {
                    for round in 0..40 {
                        let number = 50 + (thread * 7 + round * 3) % 5;
                        let handle = fixture.manager.get("m", exactly(number), soon()).unwrap();
                        assert_eq!(handle.id(), &id("m", number));
                        assert!(fixture.manager.stats().used_bytes <= 20);
                    }
                });
            }
        });
        let stats = fixture.manager.stats();
        assert_eq!(stats.hits + stats.misses, 8 * 40);
        assert_eq!((stats.waiting, stats.loads - stats.evictions), (0, stats.loaded as u64));
    }
}

#[test]
fn a_label_leads_to_its_version_from_the_moment_that_is_loaded_and_to_the_one_before_until_then() {
    let fixture = started(100);
    let label = |number| [("stable".to_owned(), version(number))].into();
    let stable = || fixture.manager.peek("m", VersionChoice::Label("stable")).map(|found| found.id().clone());
    fixture.manager.set_labels(&"m".into(), label(1));
    assert_eq!(stable(), None);
    fixture.get("m", exactly(1)).unwrap();
    assert_eq!(stable(), Some(id("m", 1)));
    fixture.manager.set_labels(&"m".into(), label(2));
    assert_eq!(stable(), Some(id("m", 1)));
    fixture.set_latest("m", 2);
    fixture.get("m", VersionChoice::Latest).unwrap();
    assert_eq!(stable(), Some(id("m", 2)));
    let names: Vec<_> = fixture.manager.labels("m").into_keys().collect();
    assert_eq!(names, ["stable"]);
}
