use std::time::{Duration, SystemTime};

use ServableState::{Available, End, Loading, Start, Unloading};
use proptest::prelude::*;
use salver_core_servable::{LoadProgress, LoadTimings, Phase};

use super::*;
use crate::fixture::{fail, far, id, past, tell};

fn shown(monitor: &Monitor, name: &str) -> Vec<(i64, ServableState)> {
    monitor.versions(name).map(|versions| numbers(&versions)).unwrap_or_default()
}

fn numbers(versions: &[VersionStatus]) -> Vec<(i64, ServableState)> {
    versions.iter().map(|version| (version.version.number(), version.state)).collect()
}

fn progress(
    monitor: &Monitor,
    number: i64,
    phase: Option<Phase>,
    done_bytes: u64,
    fetch_s: Option<u64>,
) -> LoadProgress {
    let timings = LoadTimings { fetch: fetch_s.map(Duration::from_secs), ..LoadTimings::default() };
    let progress = LoadProgress { phase, done_bytes, total_bytes: None, timings };
    monitor.observe(StateEvent::Progress { id: id("m", number), progress });
    progress
}

#[test]
fn versions_are_shown_newest_first_at_the_state_heard_of_last() {
    let monitor = Monitor::default();
    tell(&monitor, "m", &[(9, Start), (10, Start), (2, Available), (9, Loading)]);
    assert_eq!(shown(&monitor, "m"), [(10, Start), (9, Loading), (2, Available)]);
    assert!(monitor.versions("n").is_none());
    assert_eq!(monitor.streams(), [StreamName::from("m")]);
}

#[test]
fn a_stream_is_available_while_one_of_its_versions_is() {
    let monitor = Monitor::default();
    tell(&monitor, "m", &[(1, Loading)]);
    assert!(!monitor.is_available("m"));
    tell(&monitor, "m", &[(1, Available), (2, End)]);
    assert!(monitor.is_available("m"));
    tell(&monitor, "m", &[(1, Unloading)]);
    assert!(!monitor.is_available("m"));
}

#[test]
fn why_a_version_failed_is_kept_until_it_starts_again() {
    let monitor = Monitor::default();
    let lost = Status::data_loss("lost");
    fail(&monitor, "m", 1, End, &lost);
    assert_eq!(monitor.versions("m").unwrap()[0].error, Some(lost));
    tell(&monitor, "m", &[(1, Start)]);
    assert_eq!(monitor.versions("m").unwrap()[0].error, None);
}

#[test]
fn only_the_versions_that_ended_last_are_kept() {
    let monitor = Monitor::new(Limits { ended_versions_per_stream: 2, ..Limits::default() });
    tell(&monitor, "m", &[(0, Available), (4, End), (3, End), (2, End), (1, Loading)]);
    assert_eq!(shown(&monitor, "m"), [(3, End), (2, End), (1, Loading), (0, Available)]);
}

#[test]
fn a_stream_past_the_limit_is_forgotten_as_soon_as_it_is_over_whatever_else_there_is() {
    let monitor = Monitor::new(Limits { streams: 1, ..Limits::default() });
    tell(&monitor, "a", &[(1, Available)]);
    tell(&monitor, "b", &[(1, Available)]);
    tell(&monitor, "c", &[(1, Available), (1, Unloading)]);
    assert_eq!(monitor.streams().len(), 3);
    for (name, left) in [("c", 2), ("b", 1), ("a", 1)] {
        tell(&monitor, name, &[(1, End)]);
        assert_eq!(monitor.streams().len(), left);
    }
}

#[test]
fn past_the_limit_streams_that_are_over_are_forgotten_the_clean_and_the_oldest_first() {
    let monitor = Monitor::new(Limits { streams: 2, ..Limits::default() });
    let forgets = |name: &str| {
        let known = monitor.streams().contains(&name.into());
        tell(&monitor, &format!("instead of {name}"), &[(1, End)]);
        known && !monitor.streams().contains(&name.into())
    };
    fail(&monitor, "failed", 1, End, &Status::internal("x"));
    tell(&monitor, "first", &[(1, End)]);
    assert!(forgets("first"));
    assert!(forgets("instead of first"));
    tell(&monitor, "live", &[(1, Available)]);
    tell(&monitor, "other", &[(1, Available)]);
    assert_eq!(monitor.streams(), ["live".into(), "other".into()]);
    tell(&monitor, "third", &[(1, Available)]);
    assert_eq!(monitor.streams().len(), 3, "what is not over is never forgotten");
}

#[test]
fn trouble_with_a_stream_is_shown_until_it_is_over_and_hides_no_version() {
    let monitor = Monitor::default();
    tell(&monitor, "m", &[(1, Available)]);
    let error = Some(Status::not_found("no directory"));
    monitor.observe(StateEvent::Stream { name: "m".into(), error: error.clone() });
    assert_eq!(monitor.stream("m").unwrap().error, error);
    assert!(monitor.is_available("m"));
    monitor.observe(StateEvent::Stream { name: "m".into(), error: None });
    assert_eq!(monitor.stream("m").unwrap().error, None);
}

#[test]
fn waiting_ends_when_every_stream_is_settled() {
    let monitor = Arc::new(Monitor::default());
    let names = ["a".into(), "b".into(), "c".into()];
    assert!(monitor.wait_until_settled(&[], past()));
    tell(&monitor, "a", &[(1, Available), (2, Loading)]);
    monitor.observe(StateEvent::Stream { name: "c".into(), error: Some(Status::not_found("x")) });
    let waiter = {
        let (monitor, names) = (Arc::clone(&monitor), names.clone());
        std::thread::spawn(move || monitor.wait_until_settled(&names, far()))
    };
    tell(&monitor, "a", &[(2, End)]);
    assert!(!monitor.wait_until_settled(&names, past()), "nothing is heard of b yet");
    tell(&monitor, "b", &[(1, Available)]);
    assert!(waiter.join().unwrap());
}

#[test]
fn waiting_ends_at_the_deadline() {
    let monitor = Monitor::default();
    tell(&monitor, "m", &[(1, Loading)]);
    assert!(!monitor.wait_until_settled(&["m".into()], past()));
}

#[test]
fn the_state_of_one_version_is_told_by_its_id() {
    let monitor = Monitor::default();
    tell(&monitor, "m", &[(2, Available), (1, Unloading)]);
    assert_eq!(monitor.version(&id("m", 1)).unwrap().state, Unloading);
    assert_eq!(monitor.version(&id("m", 2)).unwrap().state, Available);
    assert!(monitor.version(&id("m", 3)).is_none());
    assert!(monitor.version(&id("n", 1)).is_none());
}

#[test]
fn all_live_and_available_versions_can_be_seen_by_themselves() {
    let monitor = Monitor::default();
    tell(&monitor, "a", &[(1, End), (2, Unloading), (3, Available), (4, Loading)]);
    tell(&monitor, "b", &[(1, Available)]);
    tell(&monitor, "over", &[(1, End)]);
    monitor.observe(StateEvent::Stream { name: "lost".into(), error: Some(Status::not_found("x")) });
    let all: Vec<_> = monitor
        .all()
        .into_iter()
        .map(|(name, stream)| (name.to_string(), numbers(&stream.versions)))
        .collect();
    assert_eq!(
        all,
        [
            ("a".to_owned(), vec![(4, Loading), (3, Available), (2, Unloading), (1, End)]),
            ("b".to_owned(), vec![(1, Available)]),
            ("lost".to_owned(), vec![]),
            ("over".to_owned(), vec![(1, End)]),
        ]
    );
    let live: Vec<_> =
        monitor.live().into_iter().map(|(name, versions)| (name.to_string(), numbers(&versions))).collect();
    assert_eq!(
        live,
        [
            ("a".to_owned(), vec![(4, Loading), (3, Available), (2, Unloading)]),
            ("b".to_owned(), vec![(1, Available)]),
        ]
    );
    assert_eq!(monitor.available(), BTreeSet::from([id("a", 3), id("b", 1)]));
}

#[test]
fn what_has_ended_is_forgotten_on_demand_and_streams_of_which_nothing_is_left_with_it() {
    let monitor = Monitor::default();
    tell(&monitor, "m", &[(1, End), (2, Available), (3, End)]);
    tell(&monitor, "over", &[(1, End)]);
    monitor.observe(StateEvent::Stream { name: "lost".into(), error: Some(Status::not_found("x")) });
    tell(&monitor, "lost", &[(1, End)]);
    monitor.forget_ended();
    assert_eq!(shown(&monitor, "m"), [(2, Available)]);
    assert!(monitor.stream("over").is_none());
    assert!(monitor.stream("lost").unwrap().error.is_some(), "its trouble is not over");
    assert_eq!(shown(&monitor, "lost"), []);
    tell(&monitor, "over", &[(1, Start)]);
    assert_eq!(shown(&monitor, "over"), [(1, Start)]);
}

#[test]
fn the_last_events_are_remembered_oldest_first_with_their_time() {
    let monitor = Monitor::new(Limits { history: 3, ..Limits::default() });
    let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let told = |second, state| StateEvent::Version { id: id("m", 1), state, error: None, at: at(second) };
    assert!(monitor.history().is_empty());
    let events = [told(1, Start), told(2, Loading), told(3, Available), told(4, Unloading)];
    events.iter().for_each(|event| monitor.observe(event.clone()));
    let shown = |event: &StateEvent| format!("{event:?}");
    let heard: Vec<_> = monitor.history().iter().map(|past| (past.at, shown(&past.event))).collect();
    assert_eq!(heard, [(at(2), shown(&events[1])), (at(3), shown(&events[2])), (at(4), shown(&events[3]))]);
}

#[test]
fn of_trouble_with_a_stream_the_time_it_was_heard_of_is_remembered() {
    let monitor = Monitor::new(Limits { history: 3, ..Limits::default() });
    let before = SystemTime::now();
    monitor.observe(StateEvent::Stream { name: "m".into(), error: None });
    let history = monitor.history();
    assert!(matches!(&history[..], [PastEvent { at, event: StateEvent::Stream { .. } }] if *at >= before));
}

#[test]
fn no_event_is_remembered_unless_asked_for_and_how_far_a_load_is_never() {
    let monitor = Monitor::default();
    tell(&monitor, "m", &[(1, Loading)]);
    assert!(monitor.history().is_empty());
    let monitor = Monitor::new(Limits { history: 3, ..Limits::default() });
    tell(&monitor, "m", &[(1, Loading)]);
    progress(&monitor, 1, Some(Phase::Load), 5, None);
    assert_eq!(monitor.history().len(), 1);
}

#[test]
fn how_far_a_load_is_is_shown_while_it_is_under_way_and_how_long_its_parts_took_from_then_on() {
    let monitor = Monitor::default();
    let status = || monitor.version(&id("m", 1)).unwrap();
    tell(&monitor, "m", &[(1, Start), (1, Loading)]);
    assert_eq!((status().progress, status().timings), (None, LoadTimings::default()));
    let fetching = progress(&monitor, 1, Some(Phase::Fetch), 5, None);
    assert_eq!(status().progress, Some(fetching));
    let loading = progress(&monitor, 1, Some(Phase::Load), 0, Some(3));
    assert_eq!((status().progress, status().timings), (Some(loading), loading.timings));
    let over = progress(&monitor, 1, None, 0, Some(3));
    assert_eq!((status().progress, status().timings), (None, over.timings));
    for state in [Available, Unloading, End] {
        tell(&monitor, "m", &[(1, state)]);
        assert_eq!((status().progress, status().timings), (None, over.timings));
    }
    tell(&monitor, "m", &[(1, Start)]);
    assert_eq!(status().timings, LoadTimings::default());
}

#[test]
fn a_load_that_fails_keeps_the_times_of_that_attempt_until_the_next_begins() {
    let monitor = Monitor::default();
    let status = || monitor.version(&id("m", 1)).unwrap();
    tell(&monitor, "m", &[(1, Loading)]);
    let far = progress(&monitor, 1, Some(Phase::Load), 7, Some(3));
    fail(&monitor, "m", 1, Loading, &Status::unavailable("busy"));
    assert_eq!((status().progress, status().timings), (None, far.timings));
    tell(&monitor, "m", &[(1, Loading)]);
    assert_eq!(status().timings, LoadTimings::default());
}

#[test]
fn word_of_a_load_that_is_not_under_way_changes_nothing() {
    let monitor = Monitor::default();
    progress(&monitor, 1, Some(Phase::Load), 7, Some(3));
    assert!(monitor.streams().is_empty());
    for state in [Start, Available, Unloading, End] {
        tell(&monitor, "m", &[(1, state)]);
        progress(&monitor, 1, Some(Phase::Load), 7, Some(3));
        progress(&monitor, 2, Some(Phase::Load), 7, Some(3));
        let versions = monitor.versions("m").unwrap();
        assert_eq!(numbers(&versions), [(1, state)]);
        assert_eq!((versions[0].progress, versions[0].timings), (None, LoadTimings::default()));
    }
}

#[test]
fn why_the_last_attempt_failed_is_shown_during_the_next_until_it_is_over() {
    let monitor = Monitor::default();
    let error = || monitor.version(&id("m", 1)).unwrap().error;
    let busy = Status::unavailable("busy");
    tell(&monitor, "m", &[(1, Loading)]);
    assert_eq!(error(), None);
    fail(&monitor, "m", 1, Loading, &busy);
    tell(&monitor, "m", &[(1, Loading)]);
    assert_eq!(error(), Some(busy));
    tell(&monitor, "m", &[(1, Available)]);
    assert_eq!(error(), None);
}

#[test]
fn a_version_that_failed_once_and_is_tried_again_is_not_waited_for() {
    let monitor = Monitor::default();
    let is_settled = || monitor.wait_until_settled(&["m".into()], past());
    tell(&monitor, "m", &[(1, Start), (1, Loading)]);
    assert!(!is_settled());
    fail(&monitor, "m", 1, Loading, &Status::unavailable("busy"));
    assert!(is_settled());
    tell(&monitor, "m", &[(1, Loading)]);
    assert!(is_settled(), "the next attempt is no news");
    tell(&monitor, "m", &[(2, Loading)]);
    assert!(!is_settled());
}

#[test]
fn a_version_on_its_way_out_is_waited_for() {
    let monitor = Monitor::default();
    tell(&monitor, "m", &[(1, Unloading), (2, Available)]);
    assert!(!monitor.wait_until_settled(&["m".into()], past()));
}

proptest! {
    #[test]
    fn what_has_not_ended_is_always_shown_as_it_was_told_last_and_of_what_has_no_more_than_the_limits(
        events in proptest::collection::vec(("[a-e]", 0..6_i64, 0..5_usize), 0..80),
    ) {
        let monitor = Monitor::new(Limits { ended_versions_per_stream: 2, streams: 3, history: 0 });
        let mut told = BTreeMap::new();
        for (name, number, state) in events {
            let state = [Start, Loading, Available, Unloading, End][state];
            tell(&monitor, &name, &[(number, state)]);
            told.insert((name, number), state);

            let all = monitor.all();
            for ((name, number), state) in &told {
                let version = monitor.version(&id(name, *number));
                let is_forgotten = *state == End && version.is_none();
                prop_assert!(is_forgotten || version.is_some_and(|version| version.state == *state));
            }
            for stream in all.values() {
                prop_assert!(stream.versions.iter().filter(|version| version.state == End).count() <= 2);
                prop_assert!(stream.versions.is_sorted_by(|one, next| one.version > next.version));
            }
            let n_over = all.len() - monitor.live().len();
            prop_assert!(all.len() <= 3 || n_over == 0);
        }
    }
}
