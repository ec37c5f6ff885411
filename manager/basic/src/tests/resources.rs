//! Loads within a limit of resources, by the manager's public API.

use ServableState::{End, Loading, Start, Unloading};
use salver_core_resource::{Allocation, Estimate, Resource};
use salver_core_servable::{ServableState, VersionChoice};
use salver_core_status::{Code, Status};

use super::fixture::Fixture;
use super::loaders::{Act, FakeLoader, POOLS, gate, id, lost, until};
use crate::{BasicManager, Options, State};

/// A manager of versions that together take no more than so many bytes.
fn limited(bytes: u64, test: impl Fn(Fixture)) {
    for (load, unload) in POOLS {
        test(Fixture::with(|options| {
            (options.num_load_threads, options.num_unload_threads) = (load, unload);
            options.total_resources = Some(Allocation::ram_bytes(bytes));
        }));
    }
}

fn manage(fixture: &Fixture, number: i64, act: Act, bytes: u64) {
    let loader = FakeLoader::new(&fixture.journal, [act]).taking(bytes, bytes);
    fixture.manager.manage(id("m", number), Ok(loader)).unwrap();
}

fn refusal(result: Result<(), Status>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    error.message().to_owned()
}

#[test]
fn a_version_that_does_not_fit_is_refused_with_the_figures_and_never_loaded() {
    limited(4000, |fixture| {
        manage(&fixture, 1, Act::Load, 3000);
        fixture.load("m", 1).unwrap();
        manage(&fixture, 2, Act::Load, 3000);
        let text = "m:2 does not fit: main:0 ram_in_bytes: wants 3000, 1000 of 4000 are free";
        assert_eq!(refusal(fixture.load("m", 2)), text);
        let states = [(Start, None), (End, Some(Status::resource_exhausted(text)))];
        assert_eq!(fixture.recorder.states("m", 2), states);
        assert_eq!((fixture.journal.count("load m:2"), fixture.used()), (0, 3000));
        assert_eq!(fixture.manager.state(&id("m", 2)), Some(State::Failed));
    });
}

#[test]
fn of_two_loads_at_the_same_time_that_do_not_fit_together_the_later_is_refused() {
    let fixture = Fixture::with(|options| options.total_resources = Some(Allocation::ram_bytes(100)));
    let (open, act) = gate();
    manage(&fixture, 1, act, 60);
    let first = fixture.start_load("m", 1);
    fixture.wait("m", 1, Loading);
    manage(&fixture, 2, Act::Load, 60);
    assert!(refusal(fixture.load("m", 2)).starts_with("m:2 does not fit: "));
    open.send(Ok(())).unwrap();
    first.recv().unwrap().unwrap();
    assert_eq!(fixture.used(), 60);
}

#[test]
fn one_that_is_refused_does_not_keep_the_next_from_being_loaded() {
    limited(100, |fixture| {
        manage(&fixture, 1, Act::Load, 101);
        manage(&fixture, 2, Act::Load, 100);
        let (one, two) = (fixture.start_load("m", 1), fixture.start_load("m", 2));
        refusal(one.recv().unwrap());
        two.recv().unwrap().unwrap();
    });
}

#[test]
fn room_is_released_when_a_load_fails_and_when_a_version_is_unloaded() {
    limited(100, |fixture| {
        manage(&fixture, 1, Act::Fail(lost()), 100);
        assert_eq!(fixture.load("m", 1), Err(lost()));
        assert_eq!(fixture.used(), 0);
        manage(&fixture, 2, Act::Load, 100);
        fixture.load("m", 2).unwrap();
        fixture.unload("m", 2).unwrap();
        assert_eq!(fixture.used(), 0);
        manage(&fixture, 3, Act::Load, 100);
        fixture.load("m", 3).unwrap();
    });
}

#[test]
fn what_is_taken_only_while_loading_is_released_after_it_and_what_is_measured_counts_from_then_on() {
    limited(100, |fixture| {
        let loader = FakeLoader::new(&fixture.journal, [Act::Load]).taking(90, 50);
        fixture.manager.manage(id("m", 1), Ok(loader)).unwrap();
        fixture.load("m", 1).unwrap();
        assert_eq!(fixture.used(), 50);
        let loader = FakeLoader::new(&fixture.journal, [Act::Load]).taking(50, 50).measuring(20);
        fixture.manager.manage(id("m", 2), Ok(loader)).unwrap();
        fixture.load("m", 2).unwrap();
        assert_eq!(fixture.used(), 70);
        manage(&fixture, 3, Act::Load, 30);
        fixture.load("m", 3).unwrap();
        for number in 1..=3 {
            fixture.unload("m", number).unwrap();
        }
        assert_eq!(fixture.used(), 0);
    });
}

#[test]
fn more_than_was_estimated_counts_all_the_same() {
    limited(100, |fixture| {
        let loader = FakeLoader::new(&fixture.journal, [Act::Load]).taking(50, 50).measuring(120);
        fixture.manager.manage(id("m", 1), Ok(loader)).unwrap();
        fixture.load("m", 1).unwrap();
        assert_eq!(fixture.used(), 120);
        manage(&fixture, 2, Act::Load, 1);
        let text = refusal(fixture.load("m", 2));
        assert_eq!(text, "m:2 does not fit: main:0 ram_in_bytes: wants 1, 0 of 100 are free");
        fixture.unload("m", 1).unwrap();
        assert_eq!(fixture.used(), 0);
    });
}

#[test]
fn a_load_waits_for_a_version_that_is_on_its_way_out_and_keeps_no_load_thread() {
    limited(100, |fixture| {
        manage(&fixture, 1, Act::Load, 100);
        fixture.load("m", 1).unwrap();
        let handle = fixture.get("m", VersionChoice::Latest).unwrap();
        let unloaded = fixture.start_unload("m", 1);
        fixture.wait("m", 1, Unloading);
        manage(&fixture, 2, Act::Load, 100);
        let waiting = fixture.start_load("m", 2);
        let small = FakeLoader::new(&fixture.journal, [Act::Load]);
        fixture.manager.manage(id("other", 1), Ok(small)).unwrap();
        fixture.load("other", 1).unwrap();
        assert!(waiting.try_recv().is_err());
        assert_eq!(fixture.manager.state(&id("m", 2)), Some(State::LoadRequested));
        drop(handle);
        unloaded.recv().unwrap().unwrap();
        waiting.recv().unwrap().unwrap();
        assert_eq!(fixture.journal.count("estimate m:2"), 1);
    });
}

#[test]
fn a_load_waits_for_another_that_takes_more_while_it_lasts() {
    for (load, unload) in [(2, 1), (4, 4)] {
        let fixture = Fixture::with(|options| {
            (options.num_load_threads, options.num_unload_threads) = (load, unload);
            options.total_resources = Some(Allocation::ram_bytes(100));
        });
        let (open, act) = gate();
        let loader = FakeLoader::new(&fixture.journal, [act]).taking(100, 40);
        fixture.manager.manage(id("m", 1), Ok(loader)).unwrap();
        let first = fixture.start_load("m", 1);
        fixture.wait("m", 1, Loading);
        manage(&fixture, 2, Act::Load, 60);
        let second = fixture.start_load("m", 2);
        until(|| fixture.journal.count("estimate m:2") == 1);
        assert!(second.try_recv().is_err());
        open.send(Ok(())).unwrap();
        first.recv().unwrap().unwrap();
        second.recv().unwrap().unwrap();
        assert_eq!(fixture.used(), 100);
    }
}

#[test]
fn a_load_that_waits_for_room_can_be_called_off() {
    limited(100, |fixture| {
        manage(&fixture, 1, Act::Load, 100);
        fixture.load("m", 1).unwrap();
        let handle = fixture.get("m", VersionChoice::Latest).unwrap();
        let unloaded = fixture.start_unload("m", 1);
        manage(&fixture, 2, Act::Load, 100);
        let waiting = fixture.start_load("m", 2);
        fixture.manager.cancel(&id("m", 2)).unwrap();
        assert_eq!(waiting.recv().unwrap().map_err(|error| error.code()), Err(Code::Cancelled));
        drop(handle);
        unloaded.recv().unwrap().unwrap();
        assert_eq!((fixture.used(), fixture.journal.count("load m:2")), (0, 0));
    });
}

#[test]
fn what_leaves_the_device_open_counts_until_it_is_known_which_it_was() {
    let gpu = |instance| Resource::bound("gpu", instance, "ram_in_bytes");
    let total: Allocation = [(gpu(0), 10), (gpu(1), 10)].into_iter().collect();
    let fixture = Fixture::with(|options| options.total_resources = Some(total));
    let anywhere: Allocation = [(Resource::unbound("gpu", "ram_in_bytes"), 8)].into_iter().collect();
    let open = |number| {
        let loader = FakeLoader::new(&fixture.journal, [Act::Load])
            .estimating([Ok(Estimate::steady(anywhere.clone()))]);
        fixture.manager.manage(id("m", number), Ok(loader)).unwrap();
        fixture.load("m", number)
    };
    open(1).unwrap();
    let text = refusal(open(2));
    assert!(text.contains("gpu ram_in_bytes: wants 8, 2 of 10 are free"), "{text}");
}

#[test]
fn without_a_limit_everything_fits_and_is_counted() {
    let fixture = Fixture::new();
    for number in 0..3 {
        manage(&fixture, number, Act::Load, u64::MAX / 4);
        fixture.load("m", number).unwrap();
    }
    assert_eq!(fixture.manager.resources().1, Allocation::none());
    assert_eq!(fixture.used(), u64::MAX / 4 * 3);
}

#[test]
fn a_limit_has_to_say_of_which_device_it_is() {
    let options = Options {
        total_resources: Some([(Resource::unbound("gpu", "ram_in_bytes"), 5)].into_iter().collect()),
        ..Options::new(std::sync::Arc::new(salver_manager_monitor::Monitor::default()))
    };
    let error = BasicManager::<FakeLoader>::start(options).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}
