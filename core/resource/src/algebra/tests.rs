use proptest::prelude::*;

use super::*;
use crate::notation::{any_allocation, any_quantity, of};

const MOST: u64 = u64::MAX;

#[test]
fn equal_allocations_name_the_same_quantities_in_whatever_order_and_bound_is_not_unbound() {
    assert_eq!(of("main:0 ram 1, gpu ram 2"), of("gpu ram 2, main:0 ram 1"));
    assert_eq!(of("main:0 ram 1, gpu ram 0"), of("main:0 ram 1"));
    assert_ne!(of("gpu:0 ram 2"), of("gpu ram 2"));
    assert_ne!(of("gpu:0 ram 2"), of("gpu:1 ram 2"));
    assert_ne!(of("gpu:0 ram 2"), of("gpu:0 slots 2"));
    assert_ne!(of("gpu:0 ram 2"), of("gpu:0 ram 3"));
}

#[test]
fn a_sum_keeps_bound_and_unbound_apart() {
    let check = |one: &str, other: &str, sum: &str| {
        assert_eq!(of(one).checked_add(&of(other)), Some(of(sum)));
        assert_eq!(of(one).saturating_add(&of(other)), of(sum));
    };
    check("", "", "");
    check("main:0 ram 2", "", "main:0 ram 2");
    check("", "main:0 ram 2", "main:0 ram 2");
    check("main:0 ram 2, gpu:0 ram 1", "gpu:0 ram 4, gpu:1 ram 8", "main:0 ram 2, gpu:0 ram 5, gpu:1 ram 8");
    check("gpu:0 ram 1, gpu ram 2", "gpu:0 ram 4, gpu ram 8", "gpu:0 ram 5, gpu ram 10");
}

#[test]
fn a_sum_past_64_bits_is_none_or_the_most_there_can_be_never_less() {
    let nearly = Allocation::ram_bytes(MOST - 1);
    assert_eq!(nearly.checked_add(&Allocation::ram_bytes(2)), None);
    assert_eq!(nearly.saturating_add(&Allocation::ram_bytes(2)), Allocation::ram_bytes(MOST));
    assert_eq!(nearly.checked_add(&Allocation::ram_bytes(1)), Some(Allocation::ram_bytes(MOST)));
}

#[test]
fn a_difference_keeps_bound_and_unbound_apart_and_names_no_zeros() {
    let check = |one: &str, other: &str, rest: &str| {
        assert_eq!(of(one).checked_sub(&of(other)), Some(of(rest)));
    };
    check("", "", "");
    check("main:0 ram 2", "", "main:0 ram 2");
    check("main:0 ram 5, gpu:0 ram 3", "main:0 ram 2, gpu:0 ram 3", "main:0 ram 3");
    check("gpu:0 ram 5, gpu ram 5", "gpu:0 ram 1, gpu ram 2", "gpu:0 ram 4, gpu ram 3");
}

#[test]
fn what_is_not_there_cannot_be_taken_away() {
    let check = |one: &str, other: &str, rest: &str| {
        assert_eq!(of(one).checked_sub(&of(other)), None);
        assert_eq!(of(one).saturating_sub(&of(other)), of(rest));
    };
    check("", "main:0 ram 1", "");
    check("main:0 ram 5, gpu:0 ram 3", "main:0 ram 2, gpu:0 ram 4", "main:0 ram 3");
    check("gpu ram 5", "gpu:0 ram 1", "gpu ram 5");
    check("gpu:0 ram 5", "gpu ram 1", "gpu:0 ram 5");
}

#[test]
fn a_multiple_is_of_everything_or_none_where_it_is_past_64_bits() {
    assert_eq!(of("").checked_mul(3), Some(of("")));
    assert_eq!(of("main:0 ram 2, gpu ram 5").checked_mul(3), Some(of("main:0 ram 6, gpu ram 15")));
    assert_eq!(of("main:0 ram 2").checked_mul(0), Some(of("")));
    assert_eq!(Allocation::ram_bytes(MOST / 2 + 1).checked_mul(2), None);
}

#[test]
fn the_larger_and_the_smaller_are_chosen_resource_by_resource() {
    let (one, other) =
        (of("main:0 ram 2, gpu:0 ram 9, gpu ram 1"), of("main:0 ram 3, gpu:0 ram 4, gpu:1 ram 5"));
    assert_eq!(one.max(&other), of("main:0 ram 3, gpu:0 ram 9, gpu ram 1, gpu:1 ram 5"));
    assert_eq!(one.min(&other), of("main:0 ram 2, gpu:0 ram 4"));
    assert_eq!((one.max(&of("")), one.min(&of(""))), (one, of("")));
}

#[test]
fn what_is_bound_fits_where_it_belongs_or_not_at_all() {
    let room = of("main:0 ram 5, gpu:0 ram 3, gpu:1 ram 8");
    for fitting in ["", "main:0 ram 5", "main:0 ram 4, gpu:0 ram 3, gpu:1 ram 8"] {
        assert!(of(fitting).fits(&room), "{fitting}");
    }
    for too_much in
        ["main:0 ram 6", "gpu:0 ram 4", "gpu:2 ram 1", "main:0 slots 1", "main:0 ram 1, tpu:0 ram 1"]
    {
        assert!(!of(too_much).fits(&room), "{too_much}");
    }
}

#[test]
fn what_is_unbound_needs_room_on_some_one_instance_beside_what_is_bound() {
    let room = of("gpu:0 ram 3, gpu:1 ram 8, gpu:0 slots 2");
    for fitting in ["gpu ram 8", "gpu:0 ram 3, gpu ram 8", "gpu:1 ram 5, gpu ram 3", "gpu ram 8, gpu slots 2"]
    {
        assert!(of(fitting).fits(&room), "{fitting}");
    }
    for too_much in
        ["gpu ram 9", "gpu:1 ram 5, gpu ram 4", "gpu:1 ram 8, gpu:0 ram 1, gpu ram 3", "tpu ram 1"]
    {
        assert!(!of(too_much).fits(&room), "{too_much}");
    }
}

#[test]
fn an_allocation_is_bound_when_every_resource_names_its_instance() {
    assert_eq!(of("").check_bound(), Ok(()));
    assert_eq!(of("main:0 ram 1, gpu:1 ram 1").check_bound(), Ok(()));
    let error = of("main:0 ram 1, gpu ram 1").check_bound().unwrap_err();
    assert_eq!(
        error,
        Status::invalid_argument("the resource `gpu ram` does not say which instance of the device")
    );
}

proptest! {
    #[test]
    fn a_sum_less_either_part_is_the_other(
        one in any_allocation(any_quantity()),
        other in any_allocation(any_quantity()),
    ) {
        prop_assert_eq!(one.checked_add(&other), other.checked_add(&one));
        match one.checked_add(&other) {
            Some(sum) => {
                prop_assert_eq!(sum.checked_sub(&other), Some(one.clone()));
                prop_assert_eq!(one.saturating_add(&other), sum);
            }
            None => prop_assert!(one.saturating_add(&other).iter().any(|(_, quantity)| quantity == MOST)),
        }
    }

    #[test]
    fn the_larger_and_the_smaller_together_are_the_two_together(
        one in any_allocation(0..100_u64),
        other in any_allocation(0..100_u64),
    ) {
        prop_assert_eq!(one.max(&other).checked_add(&one.min(&other)), one.checked_add(&other));
    }

    #[test]
    fn a_difference_that_saturates_and_what_was_taken_are_the_whole(
        one in any_allocation(any_quantity()),
        other in any_allocation(any_quantity()),
    ) {
        prop_assert_eq!(one.saturating_sub(&other).checked_add(&one.min(&other)), Some(one.clone()));
        prop_assert_eq!(one.checked_sub(&other).is_some(), one.min(&other) == other);
    }

    #[test]
    fn what_fits_still_fits_when_there_is_less_of_it_or_more_room(
        wanted in any_allocation(0..20_u64),
        less in any_allocation(0..20_u64),
        room in any_allocation(0..60_u64),
        more in any_allocation(0..20_u64),
    ) {
        let fits = wanted.fits(&room);
        prop_assert!(!fits || wanted.saturating_sub(&less).fits(&room));
        prop_assert!(!fits || wanted.fits(&room.saturating_add(&more)));
    }

    #[test]
    fn zeros_are_never_kept(one in any_allocation(0..3_u64), other in any_allocation(0..3_u64)) {
        let results = [one.saturating_add(&other), one.saturating_sub(&other), one.max(&other), one.min(&other)];
        for result in results {
            prop_assert!(result.iter().all(|(_, quantity)| quantity > 0));
        }
    }
}
