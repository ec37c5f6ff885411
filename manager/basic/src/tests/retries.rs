//! What becomes of an attempt that failed.

use std::sync::Arc;
use std::time::Duration;

use ServableState::{Available, End, Loading, Start, Unloading};
use salver_core_clock::ManualClock;
use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::ServableState;
use salver_core_status::{Code, Status};

use super::fixture::Fixture;
use super::loaders::{Act, FakeLoader, far, id, lost, not_now, until};
use crate::{Retry, State};

/// A manager whose time stands still until it is moved.
fn fixture(adjust: impl FnOnce(&mut crate::Options)) -> (Fixture, ManualClock) {
    let clock = ManualClock::new();
    let own = clock.clone();
    let fixture = Fixture::with(|options| {
        options.clock = Arc::new(own);
        options.retry = Retry { first_wait: HOUR, longest_wait: 4 * HOUR, ..Retry::default() };
        adjust(options);
    });
    (fixture, clock)
}

/// So long that a wait by the wrong clock is never over.
const HOUR: Duration = Duration::from_secs(3600);

fn pass(fixture: &Fixture, clock: &ManualClock, time: Duration) {
    clock.advance(time);
    fixture.manager.nudge();
}

#[test]
fn a_load_that_fails_for_a_while_succeeds_in_the_end_and_each_failure_is_shown() {
    let (fixture, clock) = fixture(|_| {});
    let acts = [Act::Fail(not_now()), Act::Fail(Status::new(Code::Aborted, "torn")), Act::Load];
    let loader = FakeLoader::new(&fixture.journal, acts);
    fixture.manager.manage(id("m", 1), Ok(loader)).unwrap();
    let loaded = fixture.start_load("m", 1);
    for (n_failed, time) in [(1, HOUR), (2, 2 * HOUR)] {
        let is_waiting = || fixture.manager.state(&id("m", 1)) == Some(State::Retrying);
        until(|| fixture.journal.count("load m:1") == n_failed && is_waiting());
        pass(&fixture, &clock, time);
    }
    loaded.recv().unwrap().unwrap();
    let torn = Status::new(Code::Aborted, "torn");
    let states = [
        (Start, None),
        (Loading, None),
        (Loading, Some(not_now())),
        (Loading, None),
        (Loading, Some(torn)),
        (Loading, None),
        (Available, None),
    ];
    assert_eq!(fixture.recorder.states("m", 1), states);
    assert_eq!(fixture.journal.entries(), ["load m:1"; 3], "by the same loader");
}

#[test]
fn a_load_that_goes_on_failing_ends_with_the_last_error_after_all_retries() {
    let (fixture, _clock) = fixture(|options| {
        options.retry = Retry { max_retries: 3, first_wait: Duration::ZERO, ..Retry::default() };
    });
    let acts = [Act::Fail(not_now()), Act::Fail(not_now()), Act::Fail(Status::unavailable("still not"))];
    fixture.manager.manage(id("m", 1), Ok(FakeLoader::new(&fixture.journal, acts))).unwrap();
    assert_eq!(fixture.load("m", 1), Err(Status::unavailable("still not")));
    assert_eq!(fixture.journal.count("load m:1"), 4);
    assert_eq!(fixture.recorder.states("m", 1).last(), Some(&(End, Some(Status::unavailable("still not")))));
}

#[test]
fn what_will_not_pass_is_not_tried_again_and_who_says_so_can_be_chosen() {
    let (fixture, _) = fixture(|_| {});
    assert_eq!(fixture.manage_and_load("m", 1, Act::Fail(lost())), Err(lost()));
    assert_eq!(fixture.journal.count("load m:1"), 1);

    let (fixture, _) = self::fixture(|options| {
        options.retry = Retry {
            max_retries: 1,
            first_wait: Duration::ZERO,
            should_retry: Arc::new(|status| status.code() == Code::DataLoss),
            ..Retry::default()
        };
    });
    // A load that succeeds is loaded, whatever would be tried again.
    fixture.manage_and_load("good", 1, Act::Load).unwrap();
    assert_eq!(fixture.manage_and_load("m", 1, Act::Fail(lost())), Err(lost()));
    assert_eq!(fixture.journal.count("load m:1"), 2);
    assert_eq!(fixture.manage_and_load("n", 1, Act::Fail(not_now())), Err(not_now()));
    assert_eq!(fixture.journal.count("load n:1"), 1);
}

#[test]
fn a_wait_keeps_no_load_thread_and_ends_no_sooner_than_it_should() {
    let (fixture, clock) = fixture(|options| options.num_load_threads = 1);
    let loader = FakeLoader::new(&fixture.journal, [Act::Fail(not_now()), Act::Load]);
    fixture.manager.manage(id("m", 1), Ok(loader)).unwrap();
    let loaded = fixture.start_load("m", 1);
    fixture.recorder.wait_for_retry("m", 1);
    fixture.manage_and_load("other", 1, Act::Load).unwrap();
    pass(&fixture, &clock, HOUR - Duration::from_secs(1));
    // Whatever the nudge leads to is done before this.
    fixture.manage_and_load("other", 2, Act::Load).unwrap();
    assert_eq!(fixture.manager.state(&id("m", 1)), Some(State::Retrying));
    pass(&fixture, &clock, Duration::from_secs(1));
    loaded.recv().unwrap().unwrap();
}

#[test]
fn a_wait_ends_at_once_when_the_load_is_called_off() {
    let (fixture, _clock) = fixture(|_| {});
    fixture.manage("m", 1, Act::Fail(not_now()));
    let loaded = fixture.start_load("m", 1);
    fixture.recorder.wait_for_retry("m", 1);
    fixture.manager.cancel(&id("m", 1)).unwrap();
    assert_eq!(loaded.recv().unwrap().map_err(|error| error.code()), Err(Code::Cancelled));
    assert_eq!(fixture.recorder.states("m", 1).last(), Some(&(End, None)));
    assert_eq!(fixture.journal.count("load m:1"), 1);
}

#[test]
fn a_wait_ends_at_once_when_the_manager_shuts_down() {
    let (fixture, _clock) = fixture(|_| {});
    fixture.manage("m", 1, Act::Fail(not_now()));
    let loaded = fixture.start_load("m", 1);
    fixture.recorder.wait_for_retry("m", 1);
    assert!(fixture.manager.shut_down(far()));
    assert_eq!(loaded.recv().unwrap().map_err(|error| error.code()), Err(Code::Cancelled));
}

#[test]
fn a_load_that_is_called_off_during_an_attempt_is_not_tried_again() {
    let (fixture, _clock) = fixture(|_| {});
    let (open, act) = super::loaders::gate();
    fixture.manage("m", 1, act);
    let loaded = fixture.start_load("m", 1);
    fixture.wait("m", 1, Loading);
    fixture.manager.cancel(&id("m", 1)).unwrap();
    open.send(Err(not_now())).unwrap();
    assert_eq!(loaded.recv().unwrap().map_err(|error| error.code()), Err(Code::Cancelled));
    let states: Vec<_> = [Start, Loading, Unloading, End].map(|state| (state, None)).into();
    assert_eq!(fixture.recorder.states("m", 1), states);
}

#[test]
fn an_estimate_that_fails_is_an_attempt_that_failed() {
    let (fixture, clock) = fixture(|_| {});
    let estimate = Estimate::steady(Allocation::ram_bytes(5));
    let loader = FakeLoader::new(&fixture.journal, [Act::Load]).estimating([Err(not_now()), Ok(estimate)]);
    fixture.manager.manage(id("m", 1), Ok(loader)).unwrap();
    let loaded = fixture.start_load("m", 1);
    fixture.recorder.wait_for_retry("m", 1);
    pass(&fixture, &clock, HOUR);
    loaded.recv().unwrap().unwrap();
    assert_eq!((fixture.used(), fixture.journal.count("estimate m:1")), (5, 2));

    let loader = FakeLoader::new(&fixture.journal, [Act::Load]).estimating([Err(lost())]);
    fixture.manager.manage(id("m", 2), Ok(loader)).unwrap();
    assert_eq!(fixture.load("m", 2), Err(lost()));
    assert_eq!(fixture.recorder.states("m", 2), [(Start, None), (End, Some(lost()))]);
    assert_eq!(fixture.journal.count("load m:2"), 0);
}

#[test]
fn estimates_that_go_on_failing_end_the_version_after_all_retries() {
    let (fixture, _clock) = fixture(|options| {
        options.retry = Retry { max_retries: 2, first_wait: Duration::ZERO, ..Retry::default() };
    });
    let loader = FakeLoader::new(&fixture.journal, [Act::Load]).estimating([Err(not_now())]);
    fixture.manager.manage(id("m", 1), Ok(loader)).unwrap();
    assert_eq!(fixture.load("m", 1), Err(not_now()));
    assert_eq!((fixture.journal.count("estimate m:1"), fixture.journal.count("load m:1")), (3, 0));
}
