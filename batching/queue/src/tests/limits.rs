//! How much may wait, how large a task may be, and how large ones are split.

use salver_core_status::{Code, Status};

use super::fixture::{Fixture, Item, item, level, ms};
use crate::{Level, QueueOptions, QueuePolicy};

const FULL: &str = "The batch scheduling queue to which this task was submitted is full";

fn full() -> Status {
    Status::unavailable(FULL)
}

fn splitting(max_batch_size: usize, level: Level) -> QueueOptions {
    let level = Level { max_batch_size, ..level };
    QueueOptions { levels: vec![level], enable_large_batch_splitting: true, ..QueueOptions::default() }
}

/// Pushes tasks of these rows one after another: the numbers of those that were refused.
fn refused(options: QueueOptions, rows: &[usize]) -> Vec<usize> {
    let mut fixture = Fixture::new(options);
    let pushed =
        rows.iter().enumerate().map(|(number, rows)| (number, fixture.try_push(item(number, *rows))));
    let refused: Vec<_> = pushed.filter_map(|(number, pushed)| Some((number, pushed.err()?))).collect();
    assert!(refused.iter().all(|(_, status)| *status == full()));
    refused.into_iter().map(|(number, _)| number).collect()
}

#[test]
fn a_task_that_is_too_large_is_refused() {
    let mut fixture = Fixture::of(level(4));
    let status = fixture.try_push(item(0, 5)).unwrap_err();
    let wanted = "Task size 5 is larger than maximum input batch size 4";
    assert_eq!(status, Status::invalid_argument(wanted));
    assert_eq!(fixture.try_push(item(0, 0)).unwrap_err().code(), Code::InvalidArgument);
    assert!(fixture.queue.is_empty());
}

#[test]
fn so_many_batches_wait_and_no_more() {
    let few = |max_enqueued_batches| QueueOptions {
        levels: vec![Level { max_enqueued_batches, ..level(4) }],
        ..QueueOptions::default()
    };
    // Two batches of four.
    assert_eq!(refused(few(2), &[4, 4, 1]), [2]);
    assert_eq!(refused(few(2), &[3, 3, 1, 1]), [3]);
    // The third closes the first, and nothing goes back to it.
    assert_eq!(refused(few(2), &[2, 3, 2, 1, 1]), [2, 4]);
    // None is taken for one.
    assert_eq!(refused(few(0), &[4, 1]), [1]);
}

#[test]
fn with_splitting_all_room_is_used() {
    assert_eq!(refused(splitting(100, Level { max_enqueued_batches: 2, ..level(4) }), &[3, 6, 5, 1]), [1, 3]);
    assert_eq!(refused(splitting(100, Level { max_enqueued_batches: 2, ..level(4) }), &[9, 8, 1]), [0, 2]);
}

#[test]
fn all_keys_share_one_limit() {
    let mut fixture = Fixture::of(level(4));
    for key in 0..3 {
        fixture.push(Item { key, ..item(0, 1) });
    }
    assert_eq!(fixture.try_push(Item { key: 3, ..item(1, 1) }).unwrap_err(), full());
    fixture.push(Item { key: 2, ..item(1, 1) });
}

#[test]
fn there_is_room_again_when_a_batch_has_left() {
    let mut fixture = Fixture::of(Level { max_enqueued_batches: 1, ..level(4) });
    fixture.push(item(0, 4));
    assert_eq!(fixture.try_push(item(1, 1)), Err(full()));
    assert_eq!(fixture.take(), Some(vec![0]));
    fixture.push(item(1, 1));
}

#[test]
fn what_is_left_of_batches_that_left_in_other_sizes_is_counted_anew() {
    let level = Level { max_enqueued_batches: 2, preferred_batch_sizes: vec![1], ..level(4) };
    let mut fixture = Fixture::of(level);
    // Two batches, and both are full.
    fixture.push_all(&[1, 3, 1, 3]);
    assert_eq!(fixture.take(), Some(vec![0]));
    // Those that are left make up two still: of 3 and 1, and of 3, in which there is room for one more.
    assert_eq!(fixture.queue.capacity(), 1);
    assert_eq!(fixture.try_push(item(4, 2)), Err(full()));
    fixture.push(item(4, 1));
    assert_eq!(fixture.queue.capacity(), 0);
}

#[test]
fn a_queue_says_how_much_fits() {
    let mut fixture = Fixture::of(level(4));
    assert_eq!(fixture.queue.capacity(), 12);
    fixture.push_all(&[3, 2]);
    assert_eq!(fixture.queue.capacity(), 2 + 4);
    for number in 0..6 {
        fixture.push(item(number, 1));
    }
    assert_eq!((fixture.queue.capacity(), fixture.try_push(item(9, 1))), (0, Err(full())));
}

#[test]
fn a_level_has_a_limit_of_tasks() {
    let policy = QueuePolicy { max_queue_size: Some(2), ..QueuePolicy::default() };
    let mut fixture = Fixture::of(Level { policy, ..level(4) });
    fixture.push_all(&[1, 1]);
    assert_eq!(fixture.queue.capacity(), 0);
    assert_eq!(fixture.try_push(item(2, 1)), Err(Status::unavailable("Exceeds maximum queue size")));
}

#[test]
fn tasks_that_gave_up_make_way() {
    let mut fixture = Fixture::of(Level { max_enqueued_batches: 1, ..level(4) });
    let cancelled = item(0, 2);
    fixture.push(cancelled.clone());
    fixture.push(Item { deadline: Some(fixture.now + ms(1)), ..item(1, 1) });
    fixture.push(item(2, 1));
    assert_eq!(fixture.try_push(item(3, 1)), Err(full()));
    assert!(fixture.dropped.is_empty());
    cancelled.cancel();
    fixture.advance(1);
    fixture.push(item(3, 3));
    // Whoever wanted them is told at once.
    assert_eq!((fixture.wait(), fixture.queue.len()), (Some(0), 4));
    assert_eq!(fixture.take(), Some(vec![2, 3]));
    let codes: Vec<_> = fixture.dropped.iter().map(|(number, status)| (*number, status.code())).collect();
    assert_eq!(codes, [(0, Code::Cancelled), (1, Code::DeadlineExceeded)]);
}

#[test]
fn a_refused_task_comes_back_with_those_that_made_way_in_vain() {
    let mut fixture = Fixture::of(Level { max_enqueued_batches: 1, ..level(4) });
    let cancelled = item(0, 1);
    fixture.push(cancelled.clone());
    fixture.push(item(1, 3));
    cancelled.cancel();
    assert_eq!(fixture.try_push(item(2, 2)), Err(full()));
    assert_eq!((fixture.dropped.len(), fixture.queue.len()), (1, 1));
}

#[test]
fn looking_for_tasks_that_gave_up_is_in_proportion_to_what_is_pushed() {
    let mut fixture = Fixture::of(Level { max_enqueued_batches: 1, ..level(1000) });
    for number in 0..1000 {
        fixture.push(item(number, 1));
    }
    let before = fixture.queue.looks();
    let looked = |fixture: &Fixture, pushed: usize| before + 16 * pushed - fixture.queue.looks();
    for pushed in 1..1000 {
        assert_eq!(fixture.try_push(item(1000, 1)), Err(full()));
        assert!(looked(&fixture, pushed) <= 16 * (1000 + pushed));
    }
    let looked = looked(&fixture, 999);
    assert!(looked > 16_000, "only {looked} were looked at");
}

#[test]
fn a_large_task_fills_the_open_batch_then_whole_ones_then_the_last() {
    let mut fixture = Fixture::new(splitting(100, Level { max_enqueued_batches: 10, ..level(4) }));
    fixture.push_all(&[3, 10]);
    let mut batches = Vec::new();
    while let Some(batch) = fixture.take_batch() {
        batches.push(batch.tasks.iter().map(|task| (task.number, task.first, task.rows)).collect::<Vec<_>>());
    }
    assert_eq!(batches, [vec![(0, 0, 3), (1, 0, 1)], vec![(1, 1, 4)], vec![(1, 5, 4)]]);
    fixture.advance(10);
    let last = fixture.take_batch().unwrap();
    assert_eq!((last.tasks[0].first, last.rows), (9, 1));
}

#[test]
fn a_task_that_fits_a_batch_is_not_split() {
    let mut fixture = Fixture::new(splitting(100, level(4)));
    fixture.push_all(&[4, 3, 1]);
    assert_eq!([fixture.take(), fixture.take()], [Some(vec![0]), Some(vec![1, 2])]);
}
