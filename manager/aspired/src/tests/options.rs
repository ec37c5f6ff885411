//! What the options ask for: retries, room, policies by stream, the order of loads, bursts.

use std::sync::Arc;
use std::time::Duration;

use ServableState::{Available, End, Loading, Start, Unloading};
use salver_core_clock::ManualClock;
use salver_core_loader::Aspired;
use salver_core_resource::{Allocation, Estimate, Resource};
use salver_core_servable::{ServableState, StreamName, VersionChoice};
use salver_core_status::{Code, Status};

use super::fixture::Fixture;
use super::loaders::{Act, FakeLoader, POOLS, far, gate, id, lost, not_now, until};
use crate::{Options, Policy, Retry, State};

/// So long that nobody waits for it.
const HOUR: Duration = Duration::from_secs(3600);

/// Managers whose retries come after an hour of a clock that stands still.
fn with_retries(test: impl Fn(Fixture, ManualClock)) {
    for (load, unload) in POOLS {
        let clock = ManualClock::new();
        let own = clock.clone();
        let fixture = Fixture::with(|options| {
            (options.num_load_threads, options.num_unload_threads) = (load, unload);
            options.clock = Arc::new(own);
            options.retry = Retry { first_wait: HOUR, longest_wait: HOUR, ..Retry::default() };
        });
        test(fixture, clock);
    }
}

#[test]
fn a_load_that_fails_for_a_while_succeeds_in_the_end() {
    with_retries(|fixture, clock| {
        let loader = FakeLoader::new(&fixture.journal, [Act::Fail(not_now()), Act::Load]);
        fixture.set("m", Ok(vec![fixture.one_by(1, loader)]));
        fixture.recorder.wait_for_retry("m", 1);
        fixture.wait_until_settled(&[StreamName::from("m")]);
        clock.advance(HOUR);
        fixture.manager.nudge();
        fixture.wait("m", 1, Available);
        let states =
            [(Start, None), (Loading, None), (Loading, Some(not_now())), (Loading, None), (Available, None)];
        assert_eq!(fixture.states("m", 1), states);
    });
}

#[test]
fn a_load_that_goes_on_failing_ends_with_its_error_and_the_old_version_goes_on_serving() {
    let fixture = Fixture::with(|options| {
        options.retry = Retry { max_retries: 3, first_wait: Duration::ZERO, ..Retry::default() };
    });
    fixture.aspire_plain("m", &[1]);
    fixture.wait("m", 1, Available);
    fixture.aspire("m", vec![(2, Act::Fail(not_now()))]);
    fixture.wait("m", 2, End);
    assert_eq!(fixture.states("m", 2).last(), Some(&(End, Some(not_now()))));
    assert_eq!((fixture.journal.count("load m:2"), fixture.serving("m")), (4, vec![1]));
}

#[test]
fn a_wait_between_attempts_ends_when_the_version_is_not_wanted_any_more() {
    with_retries(|fixture, _clock| {
        fixture.aspire("m", vec![(1, Act::Fail(not_now()))]);
        fixture.recorder.wait_for_retry("m", 1);
        fixture.aspire_plain("m", &[]);
        fixture.wait("m", 1, End);
        assert_eq!(fixture.states("m", 1).last(), Some(&(End, None)));
        assert_eq!(fixture.manager.state(&id("m", 1)), None);
        // Wanted again it is tried at once.
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 1, Available);
    });
}

#[test]
fn a_wait_between_attempts_goes_on_when_the_same_is_said_again_and_ends_when_the_data_change() {
    with_retries(|fixture, _clock| {
        fixture.aspire("m", vec![(1, Act::Fail(not_now()))]);
        fixture.recorder.wait_for_retry("m", 1);
        fixture.aspire_plain("m", &[1]);
        fixture.sync();
        assert_eq!(fixture.journal.count("load m:1"), 1);
        let changed = Aspired { revision: 1, ..fixture.one(1, Act::Load) };
        fixture.set("m", Ok(vec![changed]));
        fixture.wait("m", 1, Available);
        assert_eq!(fixture.journal.count("load m:1"), 2);
        assert!(fixture.states("m", 1).iter().all(|(state, _)| *state != End), "one life");
    });
}

#[test]
fn data_that_change_during_an_attempt_that_fails_are_tried_at_once() {
    with_retries(|fixture, _clock| {
        let (open, act) = gate();
        fixture.aspire("m", vec![(1, act)]);
        fixture.wait("m", 1, Loading);
        let changed = Aspired { revision: 1, ..fixture.one(1, Act::Load) };
        fixture.set("m", Ok(vec![changed]));
        open.send(Err(not_now())).unwrap();
        fixture.wait("m", 1, Available);
    });
}

#[test]
fn changed_data_have_all_their_attempts() {
    let fixture = Fixture::with(|options| {
        options.retry = Retry { max_retries: 1, first_wait: HOUR, ..Retry::default() };
    });
    fixture.aspire("m", vec![(1, Act::Fail(not_now()))]);
    fixture.recorder.wait_for_retry("m", 1);
    let changed = Aspired { revision: 1, ..fixture.one(1, Act::Fail(not_now())) };
    fixture.set("m", Ok(vec![changed]));
    until(|| {
        let is_waiting = fixture.manager.state(&id("m", 1)) == Some(State::Retrying);
        is_waiting && fixture.journal.count("load m:1") == 2
    });
}

#[test]
fn a_version_that_waits_and_turns_out_to_have_no_data_fails() {
    with_retries(|fixture, _clock| {
        fixture.aspire("m", vec![(1, Act::Fail(not_now()))]);
        fixture.recorder.wait_for_retry("m", 1);
        let gone = Aspired { revision: 1, data: Err(lost()), ..fixture.one(1, Act::Load) };
        fixture.set("m", Ok(vec![gone]));
        fixture.wait("m", 1, End);
        assert_eq!(fixture.states("m", 1).last(), Some(&(End, Some(lost()))));
    });
}

#[test]
fn shutting_down_ends_waits_between_attempts() {
    with_retries(|fixture, _clock| {
        fixture.aspire("m", vec![(1, Act::Fail(not_now()))]);
        fixture.recorder.wait_for_retry("m", 1);
        assert!(fixture.manager.shut_down(far()));
        fixture.wait("m", 1, End);
    });
}

fn limit(options: &mut Options) {
    options.total_resources = Some(Allocation::ram_bytes(100));
}

fn used(fixture: &Fixture) -> u64 {
    fixture.manager.resources().0.get(&Resource::ram())
}

#[test]
fn a_version_that_does_not_fit_is_refused_and_tried_again_when_room_comes_free() {
    let fixture = Fixture::with(limit);
    fixture.aspire_sized("a", &[(1, 60)]);
    fixture.wait("a", 1, Available);
    fixture.aspire_sized("b", &[(1, 60)]);
    fixture.wait("b", 1, End);
    let text = "b:1 does not fit: main:0 ram_in_bytes: wants 60, 40 of 100 are free";
    let refusal = Status::resource_exhausted(text);
    assert_eq!(fixture.states("b", 1), [(Start, None), (End, Some(refusal.clone()))]);
    // Room that does not suffice is no reason to try.
    fixture.aspire_sized("c", &[(1, 5)]);
    fixture.wait("c", 1, Available);
    fixture.aspire_sized("c", &[]);
    fixture.wait("c", 1, End);
    fixture.sync();
    assert_eq!(fixture.states("b", 1).len(), 2);

    fixture.aspire_sized("a", &[]);
    fixture.wait("b", 1, Available);
    let states = [(Start, None), (End, Some(refusal)), (Start, None), (Loading, None), (Available, None)];
    assert_eq!((fixture.states("b", 1), used(&fixture)), (states.into(), 60));
}

#[test]
fn a_version_that_was_refused_is_tried_again_when_the_one_before_it_takes_less_than_it_said_before() {
    let fixture = Fixture::with(limit);
    fixture.aspire_sized("a", &[(1, 90)]);
    fixture.wait("a", 1, Available);
    let estimates = [60, 5].map(|bytes| Ok(Estimate::steady(Allocation::ram_bytes(bytes))));
    let loader = FakeLoader::new(&fixture.journal, [Act::Load]).estimating(estimates);
    fixture.set("b", Ok(vec![fixture.one_by(1, loader)]));
    fixture.wait("b", 1, End);
    fixture.aspire_sized("c", &[(1, 60)]);
    fixture.wait("c", 1, End);
    fixture.aspire_sized("a", &[]);
    fixture.wait("b", 1, Available);
    fixture.wait("c", 1, Available);
    assert_eq!(used(&fixture), 65);
}

#[test]
fn a_version_that_was_refused_and_is_wanted_no_more_is_not_tried_again() {
    let fixture = Fixture::with(limit);
    fixture.aspire_sized("a", &[(1, 60)]);
    fixture.wait("a", 1, Available);
    fixture.aspire_sized("b", &[(1, 60)]);
    fixture.wait("b", 1, End);
    fixture.aspire_sized("b", &[]);
    fixture.aspire_sized("a", &[]);
    fixture.wait("a", 1, End);
    fixture.sync();
    assert_eq!((fixture.manager.state(&id("b", 1)), fixture.journal.count("load b:1")), (None, 0));
}

#[test]
fn a_version_waits_for_the_room_of_one_that_is_on_its_way_out_and_others_do_not_wait_for_it() {
    for (load, unload) in POOLS {
        let fixture = Fixture::with(|options| {
            (options.num_load_threads, options.num_unload_threads) = (load, unload);
            limit(options);
        });
        fixture.aspire_sized("a", &[(1, 100)]);
        fixture.wait("a", 1, Available);
        let handle = fixture.get("a", VersionChoice::Latest).unwrap();
        fixture.aspire_sized("a", &[]);
        fixture.aspire_sized("b", &[(1, 100)]);
        fixture.aspire_plain("c", &[1]);
        fixture.wait("c", 1, Available);
        until(|| fixture.journal.count("estimate b:1") == 1);
        fixture.sync();
        assert_eq!(fixture.states("b", 1), [(Start, None)]);
        drop(handle);
        fixture.wait("b", 1, Available);
        assert_eq!(fixture.journal.count("estimate b:1"), 1);
    }
}

#[test]
fn a_model_larger_than_half_the_room_is_swapped_under_the_resource_preserving_policy() {
    for (load, unload) in POOLS {
        let fixture = Fixture::with(|options| {
            (options.num_load_threads, options.num_unload_threads) = (load, unload);
            options.policy = Policy::ResourcePreserving;
            limit(options);
        });
        for number in 1..20 {
            fixture.aspire_sized("m", &[(number, 90)]);
            fixture.wait("m", number, Available);
            assert_eq!(used(&fixture), 90);
        }
    }
}

#[test]
fn a_model_larger_than_half_the_room_goes_on_serving_its_old_version_under_the_other_policy() {
    let fixture = Fixture::with(limit);
    fixture.aspire_sized("m", &[(1, 60)]);
    fixture.wait("m", 1, Available);
    fixture.aspire_sized("m", &[(2, 60)]);
    fixture.wait("m", 2, End);
    let error = fixture.states("m", 2).pop().and_then(|(_, error)| error).unwrap();
    assert_eq!((error.code(), fixture.serving("m")), (Code::ResourceExhausted, vec![1]));
}

#[test]
fn each_stream_has_the_policy_that_is_its_own() {
    let fixture = Fixture::with(|options| {
        options.policy = Policy::ResourcePreserving;
        options.policy_for = Some(Arc::new(|name| match name.as_str() {
            "stays" => Policy::AvailabilityPreserving,
            _ => Policy::ResourcePreserving,
        }));
    });
    for name in ["stays", "goes"] {
        fixture.aspire_plain(name, &[1]);
        fixture.wait(name, 1, Available);
        let (open, act) = gate();
        fixture.aspire(name, vec![(2, act)]);
        fixture.wait(name, 2, Loading);
        fixture.sync();
        let wanted = if name == "stays" { vec![1] } else { vec![] };
        assert_eq!(fixture.serving(name), wanted, "{name}");
        open.send(Ok(())).unwrap();
        fixture.wait(name, 2, Available);
    }
}

#[test]
fn under_the_resource_preserving_policy_one_that_waits_is_held_back_when_the_old_is_wanted_no_more() {
    let fixture = Fixture::with(|options| {
        options.policy = Policy::ResourcePreserving;
        options.num_load_threads = 1;
    });
    fixture.aspire_plain("m", &[1]);
    fixture.wait("m", 1, Available);
    let (open, act) = gate();
    fixture.aspire("slow", vec![(1, act)]);
    fixture.wait("slow", 1, Loading);
    fixture.aspire_plain("m", &[1, 2]);
    assert_eq!(fixture.manager.state(&id("m", 2)), Some(State::LoadRequested));
    let handle = fixture.get("m", VersionChoice::Latest).unwrap();
    fixture.aspire_plain("m", &[2]);
    assert_eq!(fixture.manager.state(&id("m", 2)), Some(State::New));
    open.send(Ok(())).unwrap();
    fixture.wait("slow", 1, Available);
    fixture.sync();
    assert_eq!(fixture.journal.count("load m:2"), 0);
    drop(handle);
    fixture.wait("m", 2, Available);
    let entries = fixture.journal.entries();
    assert_eq!(entries[entries.len() - 3..], ["unload m:1", "drop m:1", "load m:2"]);
}

#[test]
fn who_comes_first_by_the_order_gets_a_free_load_thread_first() {
    let fixture = Fixture::with(|options| {
        options.num_load_threads = 1;
        options.order = Some(Arc::new(|one, other| other.name.cmp(&one.name)));
    });
    let (open, act) = gate();
    fixture.aspire("slow", vec![(1, act)]);
    fixture.wait("slow", 1, Loading);
    for name in ["b", "c", "a"] {
        fixture.aspire_plain(name, &[1]);
    }
    open.send(Ok(())).unwrap();
    for name in ["a", "b", "c"] {
        fixture.wait(name, 1, Available);
    }
    assert_eq!(fixture.journal.entries(), ["load slow:1", "load c:1", "load b:1", "load a:1"]);
}

#[test]
fn unloads_wait_for_no_load_though_all_load_threads_are_busy() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    fixture.aspire_plain("m", &[1, 2]);
    fixture.wait("m", 1, Available);
    let (open, act) = gate();
    fixture.aspire("slow", vec![(1, act)]);
    fixture.wait("slow", 1, Loading);
    // Of the two things to be done the unload is done, and the load waits.
    fixture.aspire_plain("m", &[2, 3]);
    fixture.wait("m", 1, End);
    assert_eq!(fixture.states("m", 3), [(Start, None)]);
    open.send(Ok(())).unwrap();
    fixture.wait("m", 3, Available);
}

#[test]
fn a_burst_loads_what_there_is_to_begin_with_and_the_steady_threads_the_rest() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    fixture.manager.burst_load_threads(4).unwrap();
    let names: Vec<_> = (0..50).map(|number| StreamName::from(format!("m{number}"))).collect();
    for name in &names {
        fixture.aspire_plain(name.as_str(), &[1]);
    }
    fixture.wait_until_settled(&names);
    fixture.manager.end_burst();
    fixture.manager.set_num_load_threads(2).unwrap();
    fixture.aspire_plain("late", &[1]);
    fixture.wait("late", 1, Available);
    for name in &names {
        let threads = fixture.journal.threads(&format!("load {name}:1"));
        assert!(threads.len() == 1 && threads[0].starts_with("salver-burst-"), "{threads:?}");
    }
    assert!(fixture.journal.threads("load late:1")[0].starts_with("salver-load-"));
}

#[test]
fn hooks_run_around_each_load() {
    let journal = super::loaders::Journal::default();
    let [before, after] = [(); 2].map(|()| journal.clone());
    let fixture = Fixture::with_journal(journal, |options| {
        options.before_load = Some(Arc::new(move |id| before.write(format!("before {id}"))));
        options.after_load = Some(Arc::new(move |id| after.write(format!("after {id}"))));
    });
    fixture.aspire_plain("m", &[1]);
    fixture.wait("m", 1, Available);
    assert_eq!(fixture.journal.entries(), ["before m:1", "load m:1", "after m:1"]);
    let unheard = fixture.recorder.progress("m", 1).is_empty();
    assert!(!unheard, "how far a load is is told");
    fixture.aspire_plain("m", &[]);
    fixture.wait("m", 1, End);
    assert!(fixture.states("m", 1).contains(&(Unloading, None)));
}
