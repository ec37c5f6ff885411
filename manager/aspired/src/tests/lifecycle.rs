//! Which versions come and go, and in which order.

use ServableState::{Available, End, Loading, Start, Unloading};
use salver_core_servable::{LookupError, ServableState, VersionChoice};
use salver_core_status::{Code, Status};

use super::fixture::Fixture;
use super::loaders::{Act, gate, version};
use crate::Policy;

#[test]
fn the_latest_version_nought_and_any_other_loaded_version_can_be_asked_for() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire_plain("m", &[0, 1]);
        fixture.wait("m", 0, Available);
        fixture.wait("m", 1, Available);
        assert_eq!(fixture.get("m", VersionChoice::Latest).unwrap().id.version, version(1));
        let nought = VersionChoice::Specific(version(0));
        assert_eq!(fixture.get("m", nought).unwrap().id.version, version(0));
        let nine = VersionChoice::Specific(version(9));
        assert_eq!(fixture.get("m", nine).err(), Some(LookupError::Version("m".into(), version(9))));
        assert_eq!(fixture.get("n", VersionChoice::Latest).err(), Some(LookupError::Name("n".into())));
    });
}

#[test]
fn a_version_goes_through_its_states_in_order() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 1, Available);
        fixture.aspire_plain("m", &[]);
        fixture.wait("m", 1, End);
        let states: Vec<_> = [Start, Loading, Available, Unloading, End].map(|state| (state, None)).into();
        assert_eq!(fixture.states("m", 1), states);
        assert_eq!(fixture.journal.entries(), ["load m:1", "unload m:1", "drop m:1"]);
    });
}

#[test]
fn omission_unloads_and_an_empty_set_unloads_all_and_other_streams_are_not_touched() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire_plain("m", &[1, 2, 3]);
        fixture.aspire_plain("other", &[1]);
        for (name, number) in [("m", 1), ("m", 2), ("m", 3), ("other", 1)] {
            fixture.wait(name, number, Available);
        }
        fixture.aspire_plain("m", &[3]);
        fixture.wait("m", 1, End);
        fixture.wait("m", 2, End);
        assert_eq!(fixture.serving("m"), [3]);
        fixture.aspire_plain("m", &[]);
        fixture.wait("m", 3, End);
        assert_eq!((fixture.serving("m"), fixture.serving("other")), (vec![], vec![1]));
    });
}

#[test]
fn saying_the_same_again_changes_nothing() {
    Fixture::with_each_pool(|fixture| {
        for _ in 0..3 {
            fixture.aspire_plain("m", &[1]);
            fixture.wait("m", 1, Available);
        }
        fixture.sync();
        assert_eq!(fixture.journal.entries(), ["load m:1"]);
    });
}

#[test]
fn a_stream_reverts_to_a_smaller_version() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire_plain("m", &[9]);
        fixture.wait("m", 9, Available);
        fixture.aspire_plain("m", &[8]);
        fixture.wait("m", 9, End);
        assert_eq!(fixture.serving("m"), [8]);
    });
}

#[test]
fn a_version_stays_available_until_its_successor_is_ready() {
    Fixture::with_each_pool(|fixture| {
        let (open, act) = gate();
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 1, Available);
        fixture.aspire("m", vec![(2, act)]);
        fixture.wait("m", 2, Loading);
        fixture.sync();
        assert_eq!(fixture.serving("m"), [1]);
        open.send(Ok(())).unwrap();
        fixture.wait("m", 1, End);
        assert_eq!(fixture.serving("m"), [2]);
    });
}

#[test]
fn under_the_resource_preserving_policy_the_old_is_gone_before_the_new_is_loaded() {
    let fixture = Fixture::with(|options| options.policy = Policy::ResourcePreserving);
    fixture.aspire_plain("m", &[1]);
    fixture.wait("m", 1, Available);
    fixture.aspire_plain("m", &[2]);
    fixture.wait("m", 2, Available);
    assert_eq!(fixture.journal.entries(), ["load m:1", "unload m:1", "drop m:1", "load m:2"]);
}

#[test]
fn a_new_version_that_fails_leaves_the_old_one_serving() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 1, Available);
        let lost = Status::data_loss("lost");
        fixture.aspire("m", vec![(2, Act::Fail(lost.clone()))]);
        fixture.wait("m", 2, End);
        fixture.sync();
        assert_eq!(fixture.serving("m"), [1]);
        assert_eq!(fixture.states("m", 2), [(Start, None), (Loading, None), (End, Some(lost))]);
    });
}

#[test]
fn a_version_that_arrives_with_an_error_ends_with_it_and_never_starts() {
    Fixture::with_each_pool(|fixture| {
        let lost = Status::data_loss("lost");
        let broken = || {
            let mut broken = fixture.one(2, Act::Load);
            broken.data = Err(lost.clone());
            broken
        };
        fixture.set("m", Ok(vec![broken(), fixture.one(1, Act::Load)]));
        fixture.wait("m", 1, Available);
        fixture.set("m", Ok(vec![broken(), fixture.one(1, Act::Load)]));
        fixture.sync();
        assert_eq!(fixture.states("m", 2), [(End, Some(lost.clone()))]);
        // The files are the same, but now there is something to load them with.
        fixture.aspire_plain("m", &[1, 2]);
        fixture.wait("m", 2, Available);
    });
}

#[test]
fn a_failed_version_is_tried_again_only_when_its_revision_changes() {
    Fixture::with_each_pool(|fixture| {
        let fails = || Act::Fail(Status::data_loss("lost"));
        fixture.aspire("m", vec![(1, fails())]);
        fixture.wait("m", 1, End);
        fixture.aspire_plain("m", &[1]);
        fixture.sync();
        assert_eq!(fixture.journal.count("load m:1"), 1);
        let mut changed = fixture.one(1, Act::Load);
        changed.revision = 1;
        fixture.set("m", Ok(vec![changed]));
        fixture.wait("m", 1, Available);
        assert_eq!(fixture.journal.count("load m:1"), 2);
    });
}

#[test]
fn a_version_whose_data_change_while_it_fails_to_load_is_tried_again_with_the_new_data() {
    Fixture::with_each_pool(|fixture| {
        let (open, act) = gate();
        fixture.aspire("m", vec![(1, act)]);
        fixture.wait("m", 1, Loading);
        let mut changed = fixture.one(1, Act::Load);
        changed.revision = 1;
        fixture.set("m", Ok(vec![changed]));
        fixture.sync();
        open.send(Err(Status::data_loss("half a file"))).unwrap();
        fixture.wait("m", 1, Available);
        let half = Some(Status::data_loss("half a file"));
        let states =
            [(Start, None), (Loading, None), (End, half), (Start, None), (Loading, None), (Available, None)];
        assert_eq!(fixture.states("m", 1), states);
    });
}

#[test]
fn a_loaded_version_stays_as_it_is_when_its_revision_changes() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 1, Available);
        let mut changed = fixture.one(1, Act::Load);
        changed.revision = 1;
        fixture.set("m", Ok(vec![changed]));
        fixture.sync();
        assert_eq!((fixture.serving("m"), fixture.journal.entries()), (vec![1], vec!["load m:1".to_owned()]));
    });
}

#[test]
fn a_failed_version_that_is_left_out_and_aspired_again_is_tried_again() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire("m", vec![(1, Act::Fail(Status::data_loss("lost")))]);
        fixture.wait("m", 1, End);
        fixture.aspire_plain("m", &[]);
        fixture.sync();
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 1, Available);
    });
}

#[test]
fn a_version_that_is_left_out_before_its_turn_and_aspired_again_gets_its_turn() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    let (open, act) = gate();
    fixture.aspire("slow", vec![(1, act)]);
    fixture.wait("slow", 1, Loading);
    for numbers in [vec![1, 2], vec![2], vec![1, 2]] {
        fixture.aspire_plain("m", &numbers);
    }
    fixture.sync();
    assert_eq!(fixture.states("m", 1), [(Start, None), (End, None), (Start, None)]);
    open.send(Ok(())).unwrap();
    fixture.wait("m", 1, Available);
    fixture.wait("m", 2, Available);
    assert_eq!((fixture.journal.count("load m:1"), fixture.journal.count("load m:2")), (1, 1));
}

#[test]
fn a_version_aspired_again_while_it_is_on_its_way_out_is_loaded_anew_once_it_is_gone() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 1, Available);
        let handle = fixture.get("m", VersionChoice::Latest).unwrap();
        fixture.aspire_plain("m", &[]);
        fixture.wait("m", 1, Unloading);
        fixture.aspire_plain("m", &[1]);
        fixture.sync();
        assert_eq!(fixture.journal.entries(), ["load m:1"]);
        drop(handle);
        fixture.wait("m", 1, Available);
        assert_eq!(fixture.journal.entries(), ["load m:1", "unload m:1", "drop m:1", "load m:1"]);
    });
}

#[test]
fn a_version_aspired_again_before_it_begins_to_go_stays_and_its_would_be_successor_is_called_off() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 1, Available);
        fixture.aspire("m", vec![(2, Act::AwaitCancel)]);
        fixture.wait("m", 2, Loading);
        fixture.aspire_plain("m", &[1]);
        fixture.wait("m", 2, End);
        assert_eq!(fixture.serving("m"), [1]);
        assert_eq!(fixture.states("m", 1).last(), Some(&(Available, None)));
        let states: Vec<_> = [Start, Loading, Unloading, End].map(|state| (state, None)).into();
        assert_eq!(fixture.states("m", 2), states);
        assert_eq!(fixture.journal.count("unload m:2"), 1);
    });
}

#[test]
fn a_version_whose_load_is_called_off_and_that_is_aspired_again_is_loaded_in_the_end() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire("m", vec![(1, Act::AwaitCancel)]);
        fixture.wait("m", 1, Loading);
        fixture.aspire_plain("m", &[]);
        fixture.aspire_plain("m", &[1]);
        fixture.sync();
        fixture.wait("m", 1, Available);
        assert_eq!(fixture.journal.count("load m:1"), 2);
    });
}

#[test]
fn a_version_goes_on_serving_while_the_only_aspired_ones_are_called_off_and_wanted_again() {
    let fixture = Fixture::new();
    fixture.aspire_plain("m", &[1]);
    fixture.wait("m", 1, Available);
    let (open_2, act_2) = gate();
    let (open_3, act_3) = gate();
    fixture.aspire("m", vec![(2, act_2)]);
    fixture.wait("m", 2, Loading);
    fixture.aspire("m", vec![(3, act_3)]);
    fixture.wait("m", 3, Loading);
    fixture.aspire_plain("m", &[2]);
    fixture.sync();
    // 2 and 3 are being called off, and 2 is to come back.
    assert_eq!(fixture.serving("m"), [1]);
    for open in [open_2, open_3] {
        open.send(Ok(())).unwrap();
    }
    fixture.wait("m", 1, End);
    assert_eq!(fixture.serving("m"), [2]);
}

#[test]
fn of_a_version_given_twice_in_one_set_the_first_counts() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire("m", vec![(1, Act::Load), (1, Act::Fail(Status::data_loss("lost")))]);
        fixture.wait("m", 1, Available);
        assert_eq!(fixture.journal.entries(), ["load m:1"]);
    });
}

#[test]
fn a_source_that_cannot_tell_changes_nothing_and_its_error_is_shown_until_it_can() {
    Fixture::with_each_pool(|fixture| {
        let trouble = Status::not_found("no directory");
        // Trouble that comes right after a set does not undo the set.
        fixture.aspire_plain("m", &[1]);
        fixture.set("m", Err(trouble.clone()));
        fixture.wait("m", 1, Available);
        fixture.sync();
        fixture.set("m", Err(trouble.clone()));
        fixture.sync();
        assert_eq!(fixture.serving("m"), [1]);
        fixture.aspire_plain("m", &[1]);
        fixture.sync();
        assert_eq!(fixture.troubles("m"), [Some(trouble), None]);
    });
}

#[test]
fn a_loader_that_panics_ends_its_version_with_internal_and_nothing_else() {
    let fixture = Fixture::with(|options| options.num_load_threads = 1);
    fixture.aspire("m", vec![(1, Act::Panic)]);
    fixture.wait("m", 1, End);
    let error = fixture.states("m", 1).pop().and_then(|(_, error)| error).unwrap();
    assert_eq!((error.code(), error.message()), (Code::Internal, "load of m:1 panicked: out of luck"));
    fixture.aspire_plain("m", &[2]);
    fixture.wait("m", 2, Available);
}

#[test]
fn a_loader_that_panics_as_it_unloads_ends_its_version_and_nothing_else() {
    Fixture::with_each_pool(|fixture| {
        fixture.aspire("m", vec![(1, Act::PanicLater)]);
        fixture.wait("m", 1, Available);
        fixture.aspire_plain("m", &[2]);
        fixture.wait("m", 1, End);
        fixture.aspire_plain("m", &[]);
        fixture.wait("m", 2, End);
    });
}
