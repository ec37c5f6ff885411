use proptest::prelude::*;
use salver_core_status::Code;

use super::*;
use crate::notation::{any_allocation, of};

fn tracker() -> Tracker {
    Tracker::new(of("main:0 ram 16, gpu:0 ram 16, gpu:1 ram 16")).unwrap()
}

/// A tracker with some reserved, and what it says to some more.
fn check(reserved: &[&str], wanted: &str, refusal: Option<&str>) {
    let mut tracker = tracker();
    for reserved in reserved {
        tracker.reserve(&of(reserved)).unwrap();
    }
    let before = tracker.used().clone();
    match refusal {
        None => {
            assert_eq!(tracker.reserve(&of(wanted)), Ok(()));
            assert_eq!(Some(tracker.used()), before.checked_add(&of(wanted)).as_ref());
        }
        Some(refusal) => {
            assert_eq!(tracker.reserve(&of(wanted)), Err(Status::resource_exhausted(refusal)));
            assert_eq!(tracker.used(), &before, "a refusal reserves nothing");
        }
    }
}

#[test]
fn a_total_that_leaves_an_instance_open_is_refused() {
    let error = Tracker::new(of("main:0 ram 1, gpu ram 1")).unwrap_err();
    assert_eq!(
        error.message(),
        "the total resources: the resource `gpu ram` does not say which instance of the device"
    );
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[test]
fn what_is_bound_is_reserved_while_there_is_room_on_its_instance() {
    check(&[], "", None);
    check(&[], "main:0 ram 16", None);
    check(&["main:0 ram 10", "gpu:0 ram 16"], "main:0 ram 6, gpu:1 ram 16", None);
    check(&["main:0 ram 10"], "main:0 ram 7", Some("main:0 ram: wants 7, 6 of 16 are free"));
    check(&["gpu:0 ram 10"], "gpu:0 ram 7", Some("gpu:0 ram: wants 7, 6 of 16 are free"));
}

#[test]
fn everything_that_is_short_is_told() {
    check(
        &["main:0 ram 10"],
        "main:0 ram 7, gpu:0 ram 17, gpu:1 ram 1",
        Some("gpu:0 ram: wants 17, 16 of 16 are free; main:0 ram: wants 7, 6 of 16 are free"),
    );
}

#[test]
fn what_is_unbound_needs_room_on_one_instance() {
    check(&["gpu:0 ram 16"], "gpu ram 16", None);
    check(&["gpu:0 ram 10"], "gpu:0 ram 6, gpu ram 16", None);
    check(&["gpu:0 ram 10", "gpu:1 ram 8"], "gpu ram 9", Some("gpu ram: wants 9, 8 of 16 are free on gpu:1"));
    check(&["gpu:0 ram 10"], "gpu:1 ram 10, gpu ram 7", Some("gpu ram: wants 7, 6 of 16 are free on gpu:1"));
    check(&[], "main ram 16", None);
}

#[test]
fn what_is_unbound_counts_on_every_instance() {
    check(&["gpu ram 10"], "gpu:0 ram 6, gpu:1 ram 6", None);
    check(&["gpu ram 10"], "gpu:1 ram 7", Some("gpu:1 ram: wants 7, 6 of 16 are free"));
    check(&["gpu ram 10"], "gpu ram 7", Some("gpu ram: wants 7, 6 of 16 are free on gpu:1"));
    check(&["gpu ram 8"], "gpu ram 8", None);
}

#[test]
fn an_instance_that_is_full_refuses_nothing_that_is_wanted_elsewhere() {
    check(&["gpu:0 ram 16", "gpu ram 10"], "main:0 ram 16", None);
    check(&["gpu:0 ram 16", "gpu ram 10"], "gpu:1 ram 6", None);
    check(&["gpu:0 ram 16", "gpu ram 10"], "gpu:0 ram 1", Some("gpu:0 ram: wants 1, 0 of 16 are free"));
}

#[test]
fn what_the_total_does_not_name_is_not_limited() {
    check(&["tpu ram 18446744073709551610"], "tpu:4 ram 18446744073709551610, main:0 slots 99", None);
}

#[test]
fn an_instance_that_the_total_does_not_name_has_none_of_what_is_limited_on_others() {
    check(&[], "gpu:2 ram 1", Some("gpu:2 ram: wants 1, 0 of 0 are free"));
}

#[test]
fn a_sum_past_64_bits_is_refused_and_named() {
    check(
        &["tpu ram 18446744073709551610"],
        "tpu ram 6",
        Some("`tpu ram`: what is reserved is past what 64 bits hold"),
    );
}

#[test]
fn what_is_released_can_be_reserved_again() {
    let mut tracker = tracker();
    tracker.reserve(&of("main:0 ram 10, gpu ram 10")).unwrap();
    tracker.reserve(&of("main:0 ram 6")).unwrap();
    tracker.release(&of("main:0 ram 10, gpu ram 10"));
    assert_eq!(tracker.used(), &of("main:0 ram 6"));
    assert_eq!(tracker.free(), of("main:0 ram 10, gpu:0 ram 16, gpu:1 ram 16"));
    assert_eq!(tracker.reserve(&of("main:0 ram 10, gpu:0 ram 16")), Ok(()));
}

#[test]
fn what_is_really_taken_replaces_the_estimate_and_frees_the_other_instances() {
    let mut tracker = tracker();
    let estimate = of("main:0 ram 16, gpu ram 10");
    tracker.reserve(&estimate).unwrap();
    tracker.settle(&estimate, &of("main:0 ram 4, gpu:1 ram 9")).unwrap();
    assert_eq!(tracker.free(), of("main:0 ram 12, gpu:0 ram 16, gpu:1 ram 7"));
}

#[test]
fn what_is_really_taken_counts_even_where_it_is_more_than_there_is() {
    let mut tracker = tracker();
    let estimate = of("main:0 ram 10");
    tracker.reserve(&estimate).unwrap();
    tracker.settle(&estimate, &of("main:0 ram 20")).unwrap();
    let refusal = tracker.reserve(&of("main:0 ram 1")).unwrap_err();
    assert_eq!(refusal.message(), "main:0 ram: wants 1, 0 of 16 are free");
    tracker.release(&of("main:0 ram 20"));
    assert_eq!(tracker.used(), &Allocation::none());
}

#[test]
fn what_is_taken_beyond_64_bits_leaves_the_reservation() {
    let mut tracker = tracker();
    for _ in 0..2 {
        tracker.reserve(&of("gpu:0 ram 1")).unwrap();
    }
    assert!(tracker.settle(&of("gpu:0 ram 1"), &of("gpu:0 ram 18446744073709551615")).is_err());
    assert_eq!(tracker.used(), &of("gpu:0 ram 2"));
}

proptest! {
    /// Whatever comes and goes: everything that is reserved can be where it says, and where it says nothing there is
    /// an instance on which all of that kind can be at once.
    #[test]
    fn what_is_reserved_can_be_placed_and_releases_bring_back_what_was_before(
        steps in proptest::collection::vec((any_allocation(0..9_u64), any::<prop::sample::Index>(), any::<bool>()), 0..40),
    ) {
        let mut tracker = tracker();
        let mut held: Vec<Allocation> = Vec::new();
        for (wanted, which, releases) in steps {
            if releases && !held.is_empty() {
                tracker.release(&held.swap_remove(which.index(held.len())));
            } else if tracker.reserve(&wanted).is_ok() {
                held.push(wanted);
            }
            let sum = held.iter().fold(Allocation::none(), |sum, held| sum.saturating_add(held));
            prop_assert_eq!(tracker.used(), &sum);
            let limited: Allocation =
                sum.iter().filter(|(at, _)| tracker.is_limited(at)).map(|(at, much)| (at.clone(), much)).collect();
            prop_assert!(limited.fits(tracker.total()), "{limited:?}");
        }
        for held in held {
            tracker.release(&held);
        }
        prop_assert!(tracker.used().is_none());
        prop_assert_eq!(&tracker.free(), tracker.total());
    }
}
