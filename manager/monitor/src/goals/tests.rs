use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use ServableState::{Available, End, Loading, Start, Unloading};
use salver_core_servable::StateObserver;

use super::*;
use crate::fixture::{event, fail, far, id, past, tell};
use crate::{Limits, Monitor, Notice};

/// The outcomes of goals as they were told, `m:1` for reached and `m:1!` for ended before.
type Told = mpsc::Receiver<String>;

fn brief(outcomes: &[Outcome]) -> String {
    let each = |outcome: &Outcome| format!("{}{}", outcome.id, if outcome.is_reached { "" } else { "!" });
    outcomes.iter().map(each).collect::<Vec<_>>().join(" ")
}

fn notify_when(monitor: &Monitor, goals: &[Goal], state: ServableState) -> (Notice, Told) {
    let (sender, told) = mpsc::channel();
    let notice = monitor.notify_when(goals, state, move |outcomes| sender.send(brief(&outcomes)).unwrap());
    (notice, told)
}

fn version(name: &str, number: i64) -> Goal {
    Goal::Version(id(name, number))
}

fn latest(name: &str) -> Goal {
    Goal::Latest(name.into())
}

#[test]
fn of_no_goals_all_are_reached_at_once() {
    let monitor = Monitor::default();
    let (_notice, told) = notify_when(&monitor, &[], Available);
    assert_eq!(told.try_recv().unwrap(), "");
    assert_eq!(monitor.wait_until_reached(&[], Available, past()), Ok(vec![]));
}

#[test]
fn a_specific_version_is_awaited_whatever_becomes_of_others() {
    let monitor = Monitor::default();
    let (_notice, told) = notify_when(&monitor, &[version("m", 2)], Available);
    tell(&monitor, "m", &[(1, Available), (3, Available), (3, End), (2, Start), (2, Loading)]);
    tell(&monitor, "n", &[(2, Available)]);
    assert!(told.try_recv().is_err());
    tell(&monitor, "m", &[(2, Available)]);
    assert_eq!(told.try_recv().unwrap(), "m:2");
}

#[test]
fn a_specific_version_that_ends_is_awaited_no_longer_and_says_why_it_failed() {
    let monitor = Arc::new(Monitor::default());
    let lost = Status::data_loss("lost");
    tell(&monitor, "m", &[(2, Loading)]);
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&outcomes);
    let _notice = monitor.notify_when(&[version("m", 2)], Available, move |outcomes| {
        *told.lock().unwrap() = outcomes;
    });
    fail(&monitor, "m", 2, End, &lost);
    let wanted = Outcome { goal: version("m", 2), id: id("m", 2), is_reached: false, error: Some(lost) };
    assert_eq!(*outcomes.lock().unwrap(), [wanted]);
}

#[test]
fn the_latest_is_the_first_version_that_comes_there() {
    let monitor = Monitor::default();
    let (_notice, told) = notify_when(&monitor, &[latest("m")], Available);
    tell(&monitor, "m", &[(3, Loading), (1, Start), (1, Loading)]);
    assert!(told.try_recv().is_err());
    tell(&monitor, "m", &[(1, Available)]);
    assert_eq!(told.try_recv().unwrap(), "m:1");
}

#[test]
fn of_several_that_are_there_or_have_ended_the_latest_is_the_highest() {
    let check = |states: &[(i64, ServableState)], wanted: &str| {
        let monitor = Monitor::default();
        tell(&monitor, "m", states);
        let outcomes = monitor.wait_until_reached(&[latest("m")], Available, past()).unwrap();
        assert_eq!(brief(&outcomes), wanted);
    };
    check(&[(1, Available), (2, Available), (3, Loading)], "m:2");
    check(&[(1, Available), (2, End), (3, Loading)], "m:2!");
    check(&[(1, End), (2, Available), (3, Unloading)], "m:2");
}

#[test]
fn a_latest_version_that_fails_says_why() {
    let monitor = Monitor::default();
    let lost = Status::data_loss("lost");
    fail(&monitor, "m", 1, End, &lost);
    let outcomes = monitor.wait_until_reached(&[latest("m")], Available, past()).unwrap();
    let wanted = Outcome { goal: latest("m"), id: id("m", 1), is_reached: false, error: Some(lost) };
    assert_eq!(outcomes, [wanted]);
}

#[test]
fn word_comes_once_when_the_last_goal_has_its_outcome_in_the_order_of_the_goals() {
    let monitor = Monitor::default();
    let goals = [version("a", 1), latest("b"), version("c", 3), latest("b")];
    let (_notice, told) = notify_when(&monitor, &goals, Available);
    tell(&monitor, "c", &[(3, Available)]);
    tell(&monitor, "b", &[(7, End)]);
    assert!(told.try_recv().is_err());
    tell(&monitor, "a", &[(1, Available)]);
    assert_eq!(told.try_recv().unwrap(), "a:1 b:7! c:3 b:7!");
    tell(&monitor, "a", &[(1, Unloading), (1, End), (1, Start), (1, Loading), (1, Available)]);
    assert!(told.try_recv().is_err());
}

#[test]
fn a_goal_once_reached_counts_whatever_becomes_of_it_before_the_others_are() {
    let monitor = Monitor::default();
    let (_notice, told) = notify_when(&monitor, &[version("m", 1), version("m", 2)], Available);
    tell(&monitor, "m", &[(1, Available), (1, Unloading), (1, End)]);
    monitor.forget_ended();
    tell(&monitor, "m", &[(2, Available)]);
    assert_eq!(told.try_recv().unwrap(), "m:1 m:2");
}

#[test]
fn any_state_can_be_awaited_and_on_the_way_up_a_later_one_will_do() {
    let check = |wanted: ServableState, state: ServableState, outcome: Option<&str>| {
        let monitor = Monitor::default();
        let (_notice, told) = notify_when(&monitor, &[version("m", 1)], wanted);
        tell(&monitor, "m", &[(1, state)]);
        assert_eq!(told.try_recv().ok().as_deref(), outcome, "{state} where {wanted} is awaited");
    };
    let states = [Start, Loading, Available, Unloading, End];
    let outcomes = |wanted: ServableState, outcomes: [Option<&str>; 5]| {
        states.into_iter().zip(outcomes).for_each(|(state, outcome)| check(wanted, state, outcome));
    };
    let (reached, ended) = (Some("m:1"), Some("m:1!"));
    outcomes(Start, [reached, reached, reached, None, ended]);
    outcomes(Loading, [None, reached, reached, None, ended]);
    outcomes(Available, [None, None, reached, None, ended]);
    outcomes(Unloading, [None, None, None, reached, ended]);
    outcomes(End, [None, None, None, None, reached]);
}

#[test]
fn an_attempt_that_failed_and_will_be_repeated_decides_nothing() {
    let monitor = Monitor::default();
    let (_notice, told) = notify_when(&monitor, &[version("m", 1)], Available);
    fail(&monitor, "m", 1, Loading, &Status::unavailable("busy"));
    assert!(told.try_recv().is_err());
    tell(&monitor, "m", &[(1, Available)]);
    assert_eq!(told.try_recv().unwrap(), "m:1");
}

#[test]
fn an_end_is_told_even_where_no_ended_version_and_no_stream_is_kept() {
    let monitor = Monitor::new(Limits { ended_versions_per_stream: 0, streams: 0, ..Limits::default() });
    let (_notice, told) = notify_when(&monitor, &[latest("m")], Available);
    tell(&monitor, "m", &[(1, End)]);
    assert_eq!(told.try_recv().unwrap(), "m:1!");
    assert!(monitor.streams().is_empty());
}

#[test]
fn who_is_told_may_ask_the_monitor_and_wait_for_more() {
    let monitor = Arc::new(Monitor::default());
    let (sender, told) = mpsc::channel();
    let kept = Arc::new(Mutex::new(None));
    let (asked, keep) = (Arc::clone(&monitor), Arc::clone(&kept));
    let _notice = monitor.notify_when(&[version("m", 1)], Available, move |_| {
        let more = sender.clone();
        let next = asked.notify_when(&[version("m", 2)], Available, move |outcomes| {
            more.send(brief(&outcomes)).unwrap();
        });
        sender.send(format!("{:?}", asked.available())).unwrap();
        *keep.lock().unwrap() = Some(next);
    });
    tell(&monitor, "m", &[(1, Available)]);
    assert_eq!(told.try_recv().unwrap(), format!("{:?}", monitor.available()));
    tell(&monitor, "m", &[(2, Available)]);
    assert_eq!(told.try_recv().unwrap(), "m:2");
}

#[test]
fn a_notice_that_is_dropped_calls_nobody_and_frees_the_callback() {
    let monitor = Monitor::default();
    let (notice, told) = notify_when(&monitor, &[version("m", 1)], Available);
    drop(notice);
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    tell(&monitor, "m", &[(1, Available)]);
}

#[test]
fn a_notice_may_outlive_the_monitor() {
    let monitor = Monitor::default();
    let (notice, told) = notify_when(&monitor, &[version("m", 1)], Available);
    drop(monitor);
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    drop(notice);
}

#[test]
fn a_thread_waits_until_every_goal_has_its_outcome() {
    let monitor = Monitor::default();
    let goals = [latest("a"), version("b", 2), version("b", 3)];
    thread::scope(|scope| {
        let waiter = scope.spawn(|| monitor.wait_until_reached(&goals, Available, far()));
        tell(&monitor, "b", &[(2, Loading), (2, Available)]);
        tell(&monitor, "a", &[(1, Available)]);
        fail(&monitor, "b", 3, End, &Status::data_loss("lost"));
        assert_eq!(brief(&waiter.join().unwrap().unwrap()), "a:1 b:2 b:3!");
    });
    assert!(!monitor.awaits_anything());
}

#[test]
fn waiting_past_the_deadline_names_what_has_not_come_and_leaves_nothing_behind() {
    let monitor = Monitor::default();
    tell(&monitor, "a", &[(1, Available)]);
    tell(&monitor, "b", &[(2, Loading)]);
    monitor.observe(event("b", 3, Loading, Some(Status::unavailable("busy"))));
    let no_directory = Some(Status::not_found("no directory"));
    monitor.observe(salver_core_servable::StateEvent::Stream { name: "c".into(), error: no_directory });
    let goals = [latest("a"), version("b", 2), latest("b"), latest("c"), version("d", 1)];
    let late = monitor.wait_until_reached(&goals, Available, past()).unwrap_err();
    let message = "4 of 5 servables were not available in time: version 2 of `b` is loading; \
                   the latest of `b` is loading (busy); the latest of `c` is not known (no directory); \
                   version 1 of `d` is not known";
    assert_eq!(late, Status::deadline_exceeded(message));
    assert!(!monitor.awaits_anything());
}

#[test]
fn of_many_that_have_not_come_a_few_are_named() {
    let goals: Vec<_> = (0..100).map(|number| version("m", number)).collect();
    let late = Monitor::default().wait_until_reached(&goals, Available, past()).unwrap_err();
    assert!(late.message().starts_with("100 of 100 servables were not available in time: version 0 of `m`"));
    assert!(late.message().ends_with("version 7 of `m` is not known; and 92 more"), "{late}");
}
