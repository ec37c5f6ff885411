//! Which requests are in place when, and what comes of them.

use std::panic::panic_any;
use std::sync::Arc;

use ServableState::{Available, End, Loading, Start, Unloading};
use crossbeam_channel::bounded;
use salver_core_loader::{LoadContext, Loader};
use salver_core_servable::{LookupError, ServableState, VersionChoice};
use salver_core_status::{Code, Status};

use super::fixture::Fixture;
use super::loaders::{Act, Recorder, far, gate, id, lost, version};
use crate::{BasicManager, Options, State};

fn code(result: Result<(), Status>) -> Option<Code> {
    result.err().map(|error| error.code())
}

#[test]
fn a_version_is_found_from_the_answer_to_its_load_until_the_answer_to_its_unload() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage("m", 1, Act::Load);
        assert_eq!((fixture.manager.state(&id("m", 1)), fixture.serving("m")), (Some(State::New), vec![]));
        fixture.load("m", 1).unwrap();
        assert_eq!((fixture.manager.state(&id("m", 1)), fixture.serving("m")), (Some(State::Ready), vec![1]));
        fixture.unload("m", 1).unwrap();
        assert_eq!(
            (fixture.manager.state(&id("m", 1)), fixture.serving("m")),
            (Some(State::Disabled), vec![])
        );
        fixture.manager.stop_managing(&id("m", 1)).unwrap();
        assert_eq!(fixture.manager.state(&id("m", 1)), None);
        assert_eq!(fixture.journal.entries(), ["load m:1", "unload m:1", "drop m:1"]);
        let states: Vec<_> = [Start, Loading, Available, Unloading, End].map(|state| (state, None)).into();
        assert_eq!(fixture.recorder.states("m", 1), states);
    });
}

#[test]
fn the_latest_version_nought_and_any_other_loaded_version_can_be_asked_for() {
    Fixture::with_each_pool(|fixture| {
        for number in [0, 1] {
            fixture.manage_and_load("m", number, Act::Load).unwrap();
        }
        assert_eq!(fixture.get("m", VersionChoice::Latest).unwrap().id.version, version(1));
        let nought = VersionChoice::Specific(version(0));
        assert_eq!(fixture.get("m", nought).unwrap().id.version, version(0));
        let nine = VersionChoice::Specific(version(9));
        assert_eq!(fixture.get("m", nine).err(), Some(LookupError::Version("m".into(), version(9))));
        assert_eq!(fixture.get("n", VersionChoice::Latest).err(), Some(LookupError::Name("n".into())));
    });
}

#[test]
fn when_the_latest_version_goes_the_one_before_is_the_latest() {
    Fixture::with_each_pool(|fixture| {
        for number in [1, 2] {
            fixture.manage_and_load("m", number, Act::Load).unwrap();
        }
        fixture.unload("m", 2).unwrap();
        assert_eq!(fixture.get("m", VersionChoice::Latest).unwrap().id.version, version(1));
    });
}

#[test]
fn a_version_that_is_managed_already_stays_as_it_is() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage("m", 1, Act::Load);
        let again = fixture.manager.manage(id("m", 1), Ok(fixture.loader(Act::Fail(lost()))));
        let wanted = Status::failed_precondition("`m:1` is managed already");
        assert_eq!(again, Err(wanted));
        fixture.load("m", 1).unwrap();
        assert_eq!(code(fixture.manager.manage(id("m", 1), Err(lost()))), Some(Code::FailedPrecondition));
        assert_eq!(fixture.serving("m"), [1]);
    });
}

#[test]
fn a_version_that_comes_with_an_error_has_failed_and_cannot_be_loaded() {
    Fixture::with_each_pool(|fixture| {
        fixture.manager.manage(id("m", 1), Err(lost())).unwrap();
        assert_eq!(fixture.manager.state(&id("m", 1)), Some(State::Failed));
        assert_eq!(code(fixture.load("m", 1)), Some(Code::FailedPrecondition));
        assert_eq!(fixture.recorder.states("m", 1), [(End, Some(lost()))]);
    });
}

#[test]
fn what_is_not_managed_cannot_be_loaded_unloaded_called_off_or_let_go() {
    Fixture::with_each_pool(|fixture| {
        let unknown = id("m", 1);
        assert_eq!(fixture.load("m", 1), Err(Status::not_found("`m:1` is not managed")));
        assert_eq!(code(fixture.unload("m", 1)), Some(Code::NotFound));
        assert_eq!(code(fixture.manager.cancel(&unknown)), Some(Code::NotFound));
        assert_eq!(code(fixture.manager.stop_managing(&unknown)), Some(Code::NotFound));
        // That it was asked for too early does no harm.
        fixture.manage_and_load("m", 1, Act::Load).unwrap();
    });
}

#[test]
fn what_is_not_loaded_cannot_be_unloaded() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage("m", 1, Act::Load);
        assert_eq!(code(fixture.unload("m", 1)), Some(Code::FailedPrecondition));
        assert_eq!(fixture.manager.state(&id("m", 1)), Some(State::New));
    });
}

#[test]
fn a_version_is_let_go_when_it_is_new_or_over_and_not_in_between() {
    Fixture::with_each_pool(|fixture| {
        let one = id("m", 1);
        fixture.manage("m", 1, Act::Load);
        fixture.manager.stop_managing(&one).unwrap();
        assert_eq!(fixture.manager.state(&one), None);

        let (open, act) = gate();
        fixture.manage("m", 1, act);
        let loaded = fixture.start_load("m", 1);
        fixture.wait("m", 1, Loading);
        assert_eq!(code(fixture.manager.stop_managing(&one)), Some(Code::FailedPrecondition));
        open.send(Ok(())).unwrap();
        loaded.recv().unwrap().unwrap();
        let refusal = fixture.manager.stop_managing(&one).unwrap_err();
        let wanted = "`m:1` is Ready, and only a version that is new or over can be let go";
        assert_eq!((refusal.code(), refusal.message()), (Code::FailedPrecondition, wanted));
        fixture.unload("m", 1).unwrap();
        fixture.manager.stop_managing(&one).unwrap();
        // From the beginning.
        fixture.manage_and_load("m", 1, Act::Load).unwrap();
    });
}

#[test]
fn a_version_that_failed_stays_managed_until_it_is_let_go() {
    Fixture::with_each_pool(|fixture| {
        assert_eq!(fixture.manage_and_load("m", 1, Act::Fail(lost())), Err(lost()));
        assert_eq!(fixture.manager.state(&id("m", 1)), Some(State::Failed));
        assert_eq!(code(fixture.load("m", 1)), Some(Code::FailedPrecondition));
        assert_eq!(fixture.recorder.states("m", 1), [(Start, None), (Loading, None), (End, Some(lost()))]);
        fixture.manager.stop_managing(&id("m", 1)).unwrap();
        fixture.manage_and_load("m", 1, Act::Load).unwrap();
    });
}

#[test]
fn of_many_who_ask_for_a_load_or_an_unload_at_the_same_time_one_succeeds() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage("m", 1, Act::Load);
        type Ask = fn(&Fixture) -> Result<(), Status>;
        for ask in [(|fixture| fixture.load("m", 1)) as Ask, |fixture| fixture.unload("m", 1)] {
            let results: Vec<_> = std::thread::scope(|scope| {
                let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| ask(&fixture))).collect();
                asking.into_iter().map(|asking| asking.join().unwrap()).collect()
            });
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
            let refused = results.into_iter().filter_map(Result::err);
            assert!(refused.map(|error| error.code()).all(|code| code == Code::FailedPrecondition));
        }
        assert_eq!((fixture.journal.count("load m:1"), fixture.journal.count("unload m:1")), (1, 1));
    });
}

#[test]
fn loads_and_unloads_of_many_versions_go_on_side_by_side() {
    Fixture::with_each_pool(|fixture| {
        for number in 0..20 {
            fixture.manage("m", number, Act::Load);
        }
        let loads: Vec<_> = (0..10).map(|number| fixture.start_load("m", number)).collect();
        loads.into_iter().for_each(|load| load.recv().unwrap().unwrap());
        let loads: Vec<_> = (10..20).map(|number| fixture.start_load("m", number)).collect();
        let unloads: Vec<_> = (0..10).map(|number| fixture.start_unload("m", number)).collect();
        loads.into_iter().chain(unloads).for_each(|done| done.recv().unwrap().unwrap());
        assert_eq!(fixture.serving("m"), (10..20).collect::<Vec<_>>());
    });
}

#[test]
fn a_load_that_is_called_off_is_unloaded_if_it_succeeds_all_the_same_and_the_version_is_over() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage("m", 1, Act::AwaitCancel);
        let loaded = fixture.start_load("m", 1);
        fixture.wait("m", 1, Loading);
        fixture.manager.cancel(&id("m", 1)).unwrap();
        let error = loaded.recv().unwrap().unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Cancelled, "loading `m:1` was called off"));
        assert_eq!(fixture.journal.entries(), ["load m:1", "unload m:1", "drop m:1"]);
        let states: Vec<_> = [Start, Loading, Unloading, End].map(|state| (state, None)).into();
        assert_eq!(fixture.recorder.states("m", 1), states);
        assert_eq!(code(fixture.load("m", 1)), Some(Code::FailedPrecondition), "it is over");
        fixture.manager.stop_managing(&id("m", 1)).unwrap();
        fixture.manage_and_load("m", 1, Act::Load).unwrap();
    });
}

#[test]
fn there_is_nothing_to_call_off_of_a_version_that_is_loaded_or_over() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage_and_load("m", 1, Act::Load).unwrap();
        assert_eq!(code(fixture.manager.cancel(&id("m", 1))), Some(Code::FailedPrecondition));
        assert_eq!(fixture.serving("m"), [1]);
        fixture.unload("m", 1).unwrap();
        assert_eq!(code(fixture.manager.cancel(&id("m", 1))), Some(Code::FailedPrecondition));
    });
}

#[test]
fn a_version_that_waits_for_a_load_thread_is_over_as_soon_as_it_is_called_off() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    let (open, act) = gate();
    fixture.manage("slow", 1, act);
    let slow = fixture.start_load("slow", 1);
    fixture.wait("slow", 1, Loading);
    fixture.manage("m", 1, Act::Load);
    let waiting = fixture.start_load("m", 1);
    assert_eq!(fixture.manager.state(&id("m", 1)), Some(State::LoadRequested));
    fixture.manager.cancel(&id("m", 1)).unwrap();
    assert_eq!(code(waiting.recv().unwrap()), Some(Code::Cancelled));
    assert_eq!(fixture.recorder.states("m", 1), [(Start, None), (End, None)]);
    open.send(Ok(())).unwrap();
    slow.recv().unwrap().unwrap();
    assert_eq!(fixture.journal.count("load m:1"), 0);
}

#[test]
fn a_loader_that_panics_ends_its_version_with_internal_and_nothing_else() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    let error = fixture.manage_and_load("m", 1, Act::Panic).unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Internal, "load of m:1 panicked: out of luck"));
    fixture.manage_and_load("m", 2, Act::PanicLater).unwrap();
    fixture.unload("m", 2).unwrap();
    fixture.manage_and_load("m", 3, Act::Load).unwrap();
}

#[test]
fn whoever_is_answered_may_ask_for_more() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage("m", 1, Act::Load);
        let (sender, done) = crossbeam_channel::bounded(1);
        let (manager, next) = (fixture.manager.clone(), fixture.loader(Act::Load));
        fixture.manager.load(&id("m", 1), move |result| {
            result.unwrap();
            manager.manage(id("m", 2), Ok(next)).unwrap();
            manager.load(&id("m", 2), move |result| sender.send(result).unwrap());
            let unloading = manager.clone();
            manager.unload(&id("m", 1), move |_| unloading.stop_managing(&id("m", 1)).unwrap());
        });
        done.recv().unwrap().unwrap();
        fixture.wait("m", 1, End);
        assert_eq!(fixture.serving("m"), [2]);
    });
}

#[test]
fn shutting_down_unloads_everything_calls_loads_off_and_takes_in_no_more() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage_and_load("m", 1, Act::Load).unwrap();
        fixture.manage("m", 2, Act::AwaitCancel);
        let loaded = fixture.start_load("m", 2);
        fixture.wait("m", 2, Loading);
        fixture.manage("m", 3, Act::Load);
        assert!(fixture.manager.shut_down(far()));
        assert_eq!(code(loaded.recv().unwrap()), Some(Code::Cancelled));
        assert_eq!(fixture.serving("m"), Vec::<i64>::new());
        assert_eq!((fixture.journal.count("unload m:1"), fixture.journal.count("unload m:2")), (1, 1));
        let refusal = fixture.manager.manage(id("m", 4), Ok(fixture.loader(Act::Load)));
        assert_eq!(code(refusal), Some(Code::Unavailable));
        assert!(fixture.manager.shut_down(far()), "again, which is harmless");
    });
}

/// Panics with something that panics again when it is dropped.
struct PanicsTwice;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("out of luck again");
    }
}

impl Loader for PanicsTwice {
    type Servable = ();

    fn load(&mut self, _: &LoadContext<'_>) -> Result<(), Status> {
        panic_any(Bomb)
    }
}

#[test]
fn a_panic_whose_message_panics_again_costs_no_load_thread() {
    let mut options = Options::new(Arc::new(Recorder::default()));
    options.num_load_threads = 1;
    let manager = BasicManager::start(options).unwrap();
    for number in 1..=2 {
        manager.manage(id("m", number), Ok(PanicsTwice)).unwrap();
        let (sender, done) = bounded(1);
        manager.load(&id("m", number), move |result| sender.send(result).unwrap());
        let result = done.recv_deadline(far()).expect("told by a thread that outlives the panic");
        assert_eq!(result.unwrap_err().code(), Code::Internal);
    }
}

#[test]
fn dropping_the_manager_answers_whoever_still_waits() {
    Fixture::with_each_pool(|fixture| {
        fixture.manage_and_load("m", 1, Act::Load).unwrap();
        let handle = fixture.get("m", VersionChoice::Latest).unwrap();
        let unloaded = fixture.start_unload("m", 1);
        fixture.wait("m", 1, Unloading);
        let Fixture { manager, journal, .. } = fixture;
        drop(manager);
        assert_eq!(code(unloaded.recv().unwrap()), Some(Code::Cancelled));
        drop(handle);
        assert_eq!((journal.count("drop m:1"), journal.count("unload m:1")), (1, 0));
    });
}
