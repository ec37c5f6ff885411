//! The sizes that batches leave with.

use std::time::Duration;

use salver_batching_tune::LatencyTargetOptions;

use super::fixture::{Fixture, item, level, ms, numbers, options};
use crate::{BatchPadding, Level, QueueOptions, Ready, Tuning};

fn allowed(padding: BatchPadding) -> Fixture {
    let level = Level { allowed_batch_sizes: vec![2, 4, 8], ..level(8) };
    Fixture::new(QueueOptions { padding, ..options(level) })
}

/// The numbers of the tasks that leave first, and with how many rows they are run.
fn first(fixture: &mut Fixture, rows: &[usize]) -> (Vec<usize>, usize) {
    fixture.push_all(rows);
    fixture.advance(10);
    let batch = fixture.take_batch().unwrap();
    (numbers(&batch), batch.padded_rows)
}

#[test]
fn a_batch_is_padded_up_cut_down_or_left_as_it_is() {
    let cases = [
        (BatchPadding::PadUp, &[2, 2, 1][..], vec![0, 1, 2], 8),
        (BatchPadding::PadUp, &[2, 2], vec![0, 1], 4),
        (BatchPadding::Disabled, &[2, 2, 1], vec![0, 1, 2], 5),
        (BatchPadding::BatchDown, &[2, 2, 1], vec![0, 1], 4),
        (BatchPadding::BatchDown, &[2, 2], vec![0, 1], 4),
        // There is nothing below.
        (BatchPadding::BatchDown, &[1], vec![0], 2),
        // No tasks make up the size below.
        (BatchPadding::BatchDown, &[3, 2], vec![0, 1], 8),
        // Nothing is known of what a run costs.
        (BatchPadding::MinimizeCostPerRequest, &[2, 2, 1], vec![0, 1, 2], 8),
    ];
    for (padding, rows, wanted, padded) in cases {
        assert_eq!(first(&mut allowed(padding), rows), (wanted, padded), "{padding:?} {rows:?}");
    }
}

#[test]
fn what_is_left_behind_waits_in_front_of_those_that_come() {
    let mut fixture = allowed(BatchPadding::BatchDown);
    fixture.push_all(&[4, 1]);
    fixture.advance(10);
    assert_eq!(fixture.take(), Some(vec![0]));
    assert_eq!(fixture.ready(), Ready::Now);
    fixture.push(item(2, 1));
    assert_eq!(fixture.take(), Some(vec![1, 2]));
}

#[test]
fn whichever_costs_less_for_each_row_is_chosen() {
    // Of 5 rows, all are run as 8, or 4 of them as 4.
    for (cost_of_8, wanted) in [(9, vec![0, 1]), (11, vec![0])] {
        let mut fixture = allowed(BatchPadding::MinimizeCostPerRequest);
        for (rows, took) in [(4, 8), (8, cost_of_8)] {
            fixture.queue.ran(rows, ms(took), Duration::ZERO, fixture.now);
        }
        assert_eq!(first(&mut fixture, &[4, 1]).0, wanted, "8 rows take {cost_of_8} ms, 4 take 8 ms");
    }
}

fn preferring(preferred_batch_sizes: Vec<usize>) -> Fixture {
    Fixture::of(Level { preferred_batch_sizes, max_enqueued_batches: 10, ..level(8) })
}

#[test]
fn a_batch_of_a_preferred_size_leaves_without_waiting() {
    let mut fixture = preferring(vec![3, 6]);
    fixture.push_all(&[1, 1]);
    assert_eq!(fixture.wait(), Some(10));
    fixture.push(item(2, 1));
    assert_eq!(fixture.take(), Some(vec![0, 1, 2]));
}

#[test]
fn the_largest_preferred_size_that_waits_leaves() {
    let mut fixture = preferring(vec![3, 6]);
    fixture.push_all(&[1; 7]);
    assert_eq!(fixture.take(), Some(vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(fixture.take(), None);
}

#[test]
fn after_the_timeout_all_that_fits_leaves() {
    let mut fixture = preferring(vec![3, 6]);
    fixture.push_all(&[1; 7]);
    fixture.advance(10);
    assert_eq!(fixture.take().unwrap().len(), 7);
}

#[test]
fn a_preferred_size_among_those_left_behind_is_found() {
    let mut fixture = preferring(vec![2, 5]);
    fixture.push_all(&[3, 2, 2, 1]);
    assert_eq!(fixture.take(), Some(vec![0, 1]));
    assert_eq!(fixture.take(), Some(vec![2]));
    assert_eq!(fixture.take(), None);
}

#[test]
fn a_queue_with_a_latency_target_goes_by_what_is_found() {
    let target = LatencyTargetOptions { target: ms(20), max_batch_size: 8, allowed_batch_sizes: Vec::new() };
    let tuning = Tuning::LatencyTarget(target);
    let mut fixture = Fixture::new(QueueOptions { tuning, ..options(level(8)) });
    assert_eq!(fixture.queue.limits().map(|limits| limits.batch_size), Some(1));
    fixture.push(item(0, 1));
    // Its own timeout does not count: a lone task never waits.
    assert_eq!(fixture.take(), Some(vec![0]));
    for number in 0..100 {
        fixture.push_all(&[1; 8]);
        while let Some(batch) = fixture.take_batch() {
            fixture.advance(1);
            fixture.queue.ran(batch.padded_rows, ms(1), ms(number % 2), fixture.now);
        }
    }
    assert!(fixture.queue.limits().unwrap().batch_size > 4, "{:?}", fixture.queue.limits());
    fixture.push_all(&[1; 8]);
    assert!(
        fixture.take_batch().unwrap().rows > 4,
        "where a run costs the same for any size, batches are large"
    );
}
