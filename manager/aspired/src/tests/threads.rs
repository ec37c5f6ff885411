//! Who waits for whom, and which thread does what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ServableState::{Available, End, Loading, Unloading};
use salver_core_clock::ManualClock;
use salver_core_servable::{Lookup, ServableState, StreamName, VersionChoice};

use super::fixture::Fixture;
use super::loaders::{Act, FakeLoader, Journal, far, gate};

#[test]
fn a_servable_is_made_measured_and_freed_on_the_managers_threads_though_a_request_drops_the_last_handle() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    let loader = FakeLoader::new(&fixture.journal, [Act::Load]).taking(5, 5).measuring(4);
    fixture.set("m", Ok(vec![fixture.one_by(1, loader)]));
    fixture.wait("m", 1, Available);
    let handle = fixture.get("m", VersionChoice::Latest).unwrap();
    fixture.aspire_plain("m", &[]);
    fixture.wait("m", 1, Unloading);
    fixture.sync();
    assert_eq!(fixture.journal.count("unload m:1"), 0);
    thread::spawn(move || drop(handle)).join().unwrap();
    fixture.wait("m", 1, End);
    for what in ["estimate m:1", "load m:1", "measure m:1"] {
        assert_eq!(fixture.journal.threads(what), ["salver-load-0"], "{what}");
    }
    for what in ["unload m:1", "drop m:1"] {
        assert_eq!(fixture.journal.threads(what), ["salver-unload-0"], "{what}");
    }
}

#[test]
fn a_slow_load_and_a_held_handle_delay_no_other_version() {
    let fixture = Fixture::with(|options| options.num_load_threads = 2);
    let (open, act) = gate();
    fixture.aspire("slow", vec![(1, act)]);
    fixture.wait("slow", 1, Loading);
    fixture.aspire_plain("m", &[1]);
    fixture.wait("m", 1, Available);
    let held = fixture.get("m", VersionChoice::Latest).unwrap();
    for number in 2..10 {
        fixture.aspire_plain("m", &[number]);
        fixture.wait("m", number, Available);
    }
    fixture.wait("m", 8, End);
    fixture.aspire_plain("other", &[1]);
    fixture.wait("other", 1, Available);
    assert_eq!((held.id.version.number(), fixture.journal.count("unload m:1")), (1, 0));
    open.send(Ok(())).unwrap();
    fixture.wait("slow", 1, Available);
}

#[test]
fn loads_that_fit_run_at_the_same_time() {
    let fixture = Fixture::with(|options| options.num_load_threads = 3);
    let (gates, acts): (Vec<_>, Vec<_>) = (0..3).map(|_| gate()).unzip();
    for (name, act) in ["a", "b", "c"].into_iter().zip(acts) {
        fixture.aspire(name, vec![(1, act)]);
    }
    // Each is being loaded while none of the others was let go.
    for name in ["a", "b", "c"] {
        fixture.wait(name, 1, Loading);
    }
    for open in gates {
        open.send(Ok(())).unwrap();
    }
    for name in ["a", "b", "c"] {
        fixture.wait(name, 1, Available);
    }
}

#[test]
fn a_thousand_models_all_become_available_by_events_alone_while_the_clock_stands_still() {
    let fixture = Fixture::with(|options| options.clock = Arc::new(ManualClock::new()));
    let names: Vec<_> = (0..1000).map(|number| format!("model-{number}")).collect();
    for name in &names {
        fixture.aspire_plain(name, &[1]);
    }
    let names: Vec<_> = names.into_iter().map(StreamName::from).collect();
    fixture.wait_until_settled(&names);
    assert_eq!(fixture.manager.serving().available().len(), 1000);
}

#[test]
fn no_look_up_fails_while_versions_are_swapped_and_none_frees_a_servable() {
    let fixture = Fixture::with(|options| options.num_unload_threads = 2);
    fixture.aspire_plain("m", &[0]);
    fixture.wait("m", 0, Available);
    let is_done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (serving, is_done) = (fixture.manager.serving(), Arc::clone(&is_done));
            thread::spawn(move || {
                let mut newest = 0;
                while !is_done.load(Ordering::Relaxed) {
                    let number = serving.get("m", VersionChoice::Latest).unwrap().id.version.number();
                    assert!(number >= newest);
                    newest = number;
                }
            })
        })
        .collect();
    for number in 1..=300 {
        fixture.aspire_plain("m", &[number]);
        fixture.wait("m", number, Available);
    }
    is_done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(fixture.manager.shut_down(far()));
    for number in 0..=300 {
        let threads = fixture.journal.threads(&format!("drop m:{number}"));
        assert!(threads.len() == 1 && threads[0].starts_with("salver-unload-"), "{threads:?}");
    }
}

#[test]
fn the_hook_runs_after_a_servable_is_freed_and_before_its_version_is_over() {
    let journal = Journal::default();
    let hook = journal.clone();
    let fixture = Fixture::with_journal(journal, |options| {
        options.after_unload = Some(Arc::new(move || hook.write("hook".to_owned())));
    });
    fixture.aspire_plain("m", &[1]);
    fixture.wait("m", 1, Available);
    fixture.aspire_plain("m", &[]);
    fixture.wait("m", 1, End);
    assert_eq!(fixture.journal.entries(), ["load m:1", "unload m:1", "drop m:1", "hook"]);
}

#[test]
fn shutting_down_unloads_everything_and_takes_in_no_more() {
    let fixture = Fixture::new();
    fixture.aspire_plain("a", &[1, 2]);
    fixture.aspire_plain("b", &[1]);
    fixture.wait("a", 1, Available);
    assert!(fixture.manager.shut_down(far()));
    assert_eq!(fixture.manager.serving().available(), []);
    fixture.aspire_plain("c", &[1]);
    assert!(fixture.manager.shut_down(far()), "again, which is harmless");
    assert_eq!(fixture.journal.count("load c:1"), 0);
}

#[test]
fn shutting_down_reports_that_a_handle_is_held_and_ends_once_it_is_dropped() {
    let fixture = Fixture::new();
    fixture.aspire_plain("m", &[1]);
    fixture.wait("m", 1, Available);
    let handle = fixture.get("m", VersionChoice::Latest).unwrap();
    assert!(!fixture.manager.shut_down(Instant::now()));
    fixture.wait("m", 1, Unloading);
    drop(handle);
    assert!(fixture.manager.shut_down(far()));
    assert_eq!(fixture.journal.count("unload m:1"), 1);
}

#[test]
fn dropping_the_manager_calls_loads_off_unloads_what_is_free_and_leaves_the_rest_to_its_handles() {
    let fixture = Fixture::new();
    fixture.aspire_plain("held", &[1]);
    fixture.aspire_plain("free", &[1]);
    fixture.aspire("loading", vec![(1, Act::AwaitCancel)]);
    fixture.wait("held", 1, Available);
    fixture.wait("free", 1, Available);
    fixture.wait("loading", 1, Loading);
    let handle = fixture.get("held", VersionChoice::Latest).unwrap();
    let Fixture { manager, journal, .. } = fixture;
    let serving = manager.serving();
    drop(manager);
    assert_eq!(serving.available(), []);
    for (what, count) in [("unload free:1", 1), ("unload loading:1", 1), ("drop held:1", 0)] {
        assert_eq!(journal.count(what), count, "{what}");
    }
    drop(handle);
    assert_eq!((journal.count("drop held:1"), journal.count("unload held:1")), (1, 0));
}
