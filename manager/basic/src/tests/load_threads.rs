//! Which thread does what, how many there are, and who waits for whom.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ServableState::{Available, Loading, Unloading};
use salver_core_servable::{Phase, ServableState, VersionChoice};

use super::fixture::Fixture;
use super::loaders::{Act, FakeLoader, Journal, gate, id, until};

#[test]
fn a_servable_is_made_measured_and_freed_on_the_managers_threads_though_a_request_drops_the_last_handle() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    let loader = FakeLoader::new(&fixture.journal, [Act::Load]).taking(5, 5).measuring(4);
    fixture.manager.manage(id("m", 1), Ok(loader)).unwrap();
    fixture.load("m", 1).unwrap();
    let handle = fixture.get("m", VersionChoice::Latest).unwrap();
    let unloaded = fixture.start_unload("m", 1);
    fixture.wait("m", 1, Unloading);
    until(|| fixture.serving("m").is_empty());
    assert_eq!(fixture.journal.count("unload m:1"), 0);
    thread::spawn(move || drop(handle)).join().unwrap();
    unloaded.recv().unwrap().unwrap();
    for what in ["estimate m:1", "load m:1", "measure m:1"] {
        assert_eq!(fixture.journal.threads(what), ["salver-load-0"], "{what}");
    }
    for what in ["unload m:1", "drop m:1"] {
        assert_eq!(fixture.journal.threads(what), ["salver-unload-0"], "{what}");
    }
}

#[test]
fn a_held_handle_delays_the_unload_of_its_own_version_and_nothing_else() {
    Fixture::with_each_pool(|fixture| {
        for number in 0..9 {
            fixture.manage_and_load("m", number, Act::Load).unwrap();
        }
        let handle = fixture.get("m", VersionChoice::Latest).unwrap();
        let held = fixture.start_unload("m", 8);
        for number in 0..8 {
            fixture.unload("m", number).unwrap();
        }
        fixture.manage_and_load("other", 1, Act::Load).unwrap();
        assert!(held.try_recv().is_err());
        drop(handle);
        held.recv().unwrap().unwrap();
    });
}

#[test]
fn as_many_versions_are_loaded_at_the_same_time_as_there_are_load_threads() {
    let fixture = Fixture::with(|options| options.num_load_threads = 3);
    let gates: Vec<_> = (0..4)
        .map(|number| {
            let (open, act) = gate();
            fixture.manage("m", number, act);
            (open, fixture.start_load("m", number))
        })
        .collect();
    for number in 0..3 {
        until(|| fixture.journal.count(&format!("load m:{number}")) == 1);
    }
    assert_eq!(fixture.journal.count("load m:3"), 0);
    for (open, loaded) in gates {
        open.send(Ok(())).unwrap();
        loaded.recv().unwrap().unwrap();
    }
}

#[test]
fn more_load_threads_take_up_what_waits_at_once() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    let (open, act) = gate();
    fixture.manage("slow", 1, act);
    let slow = fixture.start_load("slow", 1);
    fixture.wait("slow", 1, Loading);
    fixture.manage("m", 1, Act::Load);
    let waiting = fixture.start_load("m", 1);
    fixture.manager.set_num_load_threads(2).unwrap();
    waiting.recv().unwrap().unwrap();
    open.send(Ok(())).unwrap();
    slow.recv().unwrap().unwrap();
}

#[test]
fn fewer_load_threads_interrupt_no_load_and_then_load_fewer_at_a_time() {
    let fixture = Fixture::with(|options| options.num_load_threads = 2);
    let (open_1, act_1) = gate();
    let (open_2, act_2) = gate();
    let (open_3, act_3) = gate();
    for (number, act) in [(1, act_1), (2, act_2), (3, act_3)] {
        fixture.manage("m", number, act);
    }
    let (one, two) = (fixture.start_load("m", 1), fixture.start_load("m", 2));
    fixture.wait("m", 1, Loading);
    fixture.wait("m", 2, Loading);
    fixture.manager.set_num_load_threads(0).unwrap();
    let three = fixture.start_load("m", 3);
    open_1.send(Ok(())).unwrap();
    one.recv().unwrap().unwrap();
    // There is one thread now, and it is at version 2.
    assert_eq!(fixture.journal.count("load m:3"), 0);
    open_2.send(Ok(())).unwrap();
    two.recv().unwrap().unwrap();
    fixture.wait("m", 3, Loading);
    open_3.send(Ok(())).unwrap();
    three.recv().unwrap().unwrap();
}

#[test]
fn the_number_of_load_threads_may_change_at_any_time() {
    let fixture = Fixture::new();
    let mut loads = Vec::new();
    for number in 0..200 {
        fixture.manager.set_num_load_threads(number as usize % 5).unwrap();
        fixture.manage("m", number, Act::Load);
        loads.push(fixture.start_load("m", number));
    }
    loads.into_iter().for_each(|load| load.recv().unwrap().unwrap());
    assert_eq!(fixture.serving("m").len(), 200);
}

#[test]
fn the_threads_of_a_burst_do_all_loads_without_the_hook_and_the_steady_ones_take_over_when_it_ends() {
    let journal = Journal::default();
    let hook = journal.clone();
    let fixture = Fixture::with_journal(journal, |options| {
        options.num_load_threads = 1;
        options.on_load_thread = Some(Arc::new(move || hook.write("hook".to_owned())));
    });
    fixture.manager.burst_load_threads(3).unwrap();
    // That is for afterwards.
    fixture.manager.set_num_load_threads(1).unwrap();
    let gates: Vec<_> = (0..3)
        .map(|number| {
            let (open, act) = gate();
            fixture.manage("m", number, act);
            (open, fixture.start_load("m", number))
        })
        .collect();
    for number in 0..3 {
        until(|| fixture.journal.count(&format!("load m:{number}")) == 1);
    }
    fixture.manager.end_burst();
    fixture.manage("late", 1, Act::Load);
    let late = fixture.start_load("late", 1);
    for (open, loaded) in gates {
        open.send(Ok(())).unwrap();
        loaded.recv().unwrap().unwrap();
    }
    late.recv().unwrap().unwrap();
    let threads: BTreeSet<_> =
        (0..3).flat_map(|number| fixture.journal.threads(&format!("load m:{number}"))).collect();
    assert_eq!(
        threads.into_iter().collect::<Vec<_>>(),
        ["salver-burst-0", "salver-burst-1", "salver-burst-2"]
    );
    assert_eq!(fixture.journal.threads("load late:1"), ["salver-load-0"]);
    assert_eq!(fixture.journal.threads("hook"), ["salver-load-0"]);
    // Again, and as often as wanted.
    fixture.manager.burst_load_threads(2).unwrap();
    fixture.manage_and_load("again", 1, Act::Load).unwrap();
    fixture.manager.end_burst();
    fixture.manager.end_burst();
    fixture.manage_and_load("again", 2, Act::Load).unwrap();
    assert_eq!(fixture.journal.threads("load again:2"), ["salver-load-0"]);
}

#[test]
fn threads_that_are_added_call_the_hook_and_then_load() {
    let n_calls = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&n_calls);
    let fixture = Fixture::with(|options| {
        options.num_load_threads = 1;
        options.on_load_thread = Some(Arc::new(move || {
            hook.fetch_add(1, Ordering::SeqCst);
            panic!("of no consequence");
        }));
    });
    fixture.manager.set_num_load_threads(3).unwrap();
    let gates: Vec<_> = (0..3)
        .map(|number| {
            let (open, act) = gate();
            fixture.manage("m", number, act);
            (open, fixture.start_load("m", number))
        })
        .collect();
    for number in 0..3 {
        until(|| fixture.journal.count(&format!("load m:{number}")) == 1);
    }
    assert_eq!(n_calls.load(Ordering::SeqCst), 3);
    for (open, loaded) in gates {
        open.send(Ok(())).unwrap();
        loaded.recv().unwrap().unwrap();
    }
}

#[test]
fn hooks_run_around_each_attempt_on_its_thread_and_after_each_unload() {
    let journal = Journal::default();
    let [before, after, unload] = [(); 3].map(|()| journal.clone());
    let fixture = Fixture::with_journal(journal, |options| {
        options.before_load = Some(Arc::new(move |id| before.write(format!("before {id}"))));
        options.after_load = Some(Arc::new(move |id| after.write(format!("after {id}"))));
        options.after_unload = Some(Arc::new(move || unload.write("after unload".to_owned())));
    });
    fixture.manage_and_load("m", 1, Act::Load).unwrap();
    fixture.unload("m", 1).unwrap();
    let wanted = ["before m:1", "load m:1", "after m:1", "unload m:1", "drop m:1", "after unload"];
    assert_eq!(fixture.journal.entries(), wanted);
    assert_eq!(fixture.journal.threads("before m:1"), fixture.journal.threads("load m:1"));
    assert_eq!(fixture.journal.threads("after m:1"), fixture.journal.threads("load m:1"));
    assert_eq!(fixture.journal.threads("after unload"), ["salver-unload-0"]);
}

#[test]
fn who_comes_first_by_the_order_gets_a_free_load_thread_first_and_unloads_wait_for_no_load() {
    let fixture = Fixture::with(|options| {
        options.num_load_threads = 1;
        options.order = Some(Arc::new(|one, other| other.version.cmp(&one.version)));
    });
    fixture.manage_and_load("m", 0, Act::Load).unwrap();
    let (open, act) = gate();
    fixture.manage("slow", 1, act);
    let slow = fixture.start_load("slow", 1);
    fixture.wait("slow", 1, Loading);
    let loads = [2, 4, 3].map(|number| {
        fixture.manage("m", number, Act::Load);
        fixture.start_load("m", number)
    });
    fixture.unload("m", 0).unwrap();
    open.send(Ok(())).unwrap();
    slow.recv().unwrap().unwrap();
    loads.into_iter().for_each(|load| load.recv().unwrap().unwrap());
    let entries = fixture.journal.entries();
    assert_eq!(entries[entries.len() - 3..], ["load m:4", "load m:3", "load m:2"]);
}

#[test]
fn how_far_a_load_is_is_told_while_it_is_loading_and_that_it_is_over_before_anything_else() {
    let fixture = Fixture::new();
    fixture.manage_and_load("m", 1, Act::Load).unwrap();
    let told = fixture.recorder.progress("m", 1);
    let (last, stands) = told.last().unwrap();
    assert_eq!((last.phase, *stands), (None, Some(Loading)));
    assert!(told.iter().all(|(progress, stands)| {
        *stands == Some(Loading) && matches!(progress.phase, None | Some(Phase::Load))
    }));
    fixture.wait("m", 1, Available);
}

#[test]
fn a_version_that_has_its_room_is_loaded_before_another_is_estimated() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    let (open, act) = gate();
    fixture.manage("slow", 1, act);
    let slow = fixture.start_load("slow", 1);
    fixture.wait("slow", 1, Loading);
    let loads = [1, 2].map(|number| {
        let loader = FakeLoader::new(&fixture.journal, [Act::Load]).taking(1, 1);
        fixture.manager.manage(id("m", number), Ok(loader)).unwrap();
        fixture.start_load("m", number)
    });
    open.send(Ok(())).unwrap();
    slow.recv().unwrap().unwrap();
    loads.into_iter().for_each(|load| load.recv().unwrap().unwrap());
    let entries = fixture.journal.entries();
    assert_eq!(entries[1..], ["estimate m:1", "load m:1", "estimate m:2", "load m:2"]);
}
