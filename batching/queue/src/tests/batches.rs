//! Which tasks share a batch, and when it leaves.

use super::fixture::{Fixture, Item, item, level, ms, options};
use crate::{Level, Ready};

#[test]
fn tasks_share_a_batch_in_the_order_in_which_they_came() {
    let mut fixture = Fixture::of(level(4));
    fixture.push_all(&[1, 2, 1]);
    let batch = fixture.take_batch().unwrap();
    assert_eq!(batch.tasks.iter().map(|task| task.number).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((batch.rows, batch.padded_rows, batch.number), (4, 4, 0));
    assert!(fixture.queue.is_empty());
}

#[test]
fn a_batch_leaves_when_it_is_full_or_its_first_task_has_waited_long_enough() {
    let mut fixture = Fixture::of(level(4));
    assert_eq!(fixture.ready(), Ready::Never);
    fixture.push(item(0, 1));
    fixture.advance(4);
    fixture.push(item(1, 1));
    assert_eq!(fixture.wait(), Some(6));
    assert_eq!(fixture.take(), None);
    fixture.advance(6);
    assert_eq!(fixture.ready(), Ready::Now);
    assert_eq!(fixture.take(), Some(vec![0, 1]));
    fixture.push_all(&[2, 2]);
    assert_eq!(fixture.ready(), Ready::Now);
}

#[test]
fn without_a_timeout_a_task_is_ready_at_once() {
    let mut fixture = Fixture::of(Level { batch_timeout: ms(0), ..level(4) });
    fixture.push(item(0, 1));
    assert_eq!(fixture.ready(), Ready::Now);
    assert_eq!(fixture.take(), Some(vec![0]));
}

#[test]
fn a_timeout_may_be_as_long_as_there_are_numbers_for() {
    let mut fixture = Fixture::of(Level { batch_timeout: std::time::Duration::MAX, ..level(2) });
    fixture.push(item(0, 1));
    assert!(matches!(fixture.ready(), Ready::At(_)));
    fixture.push(item(1, 1));
    assert_eq!(fixture.take(), Some(vec![0, 1]));
}

#[test]
fn a_task_that_does_not_fit_closes_the_batch_and_a_small_one_does_not_go_back() {
    let mut fixture = Fixture::of(level(4));
    fixture.push_all(&[3, 2, 1]);
    assert_eq!(fixture.take(), Some(vec![0]));
    assert_eq!(fixture.take(), None);
    fixture.advance(10);
    assert_eq!(fixture.take(), Some(vec![1, 2]));
}

#[test]
fn tasks_of_different_keys_wait_side_by_side() {
    let mut fixture = Fixture::of(level(4));
    let keyed = |number, key| Item { key, ..item(number, 2) };
    fixture.push(keyed(0, 1));
    fixture.push(keyed(1, 2));
    assert_eq!(fixture.take(), None);
    fixture.push(keyed(2, 2));
    assert_eq!(fixture.take(), Some(vec![1, 2]));
    fixture.push(keyed(3, 1));
    assert_eq!(fixture.take(), Some(vec![0, 3]));
}

#[test]
fn of_the_batches_that_are_ready_the_oldest_leaves_first() {
    let mut fixture = Fixture::of(level(2));
    fixture.push(Item { key: 1, ..item(0, 1) });
    fixture.advance(1);
    fixture.push(Item { key: 2, ..item(1, 2) });
    assert_eq!(fixture.queue.best(fixture.now), Some((0, fixture.now)));
    fixture.advance(9);
    assert_eq!(fixture.queue.best(fixture.now), Some((0, fixture.now - ms(10))));
    assert_eq!([fixture.take(), fixture.take()], [Some(vec![0]), Some(vec![1])]);
    assert_eq!(fixture.queue.best(fixture.now), None);
}

#[test]
fn nothing_stays_behind_of_keys_that_were_there() {
    let mut fixture = Fixture::of(Level { batch_timeout: ms(0), ..level(4) });
    for number in 0..200 {
        fixture.push(Item { key: number as u8, ..item(number, 1) });
        assert_eq!(fixture.take(), Some(vec![number]));
        fixture.queue.check_consistency(0);
    }
}

#[test]
fn a_closed_queue_gives_out_what_waits_and_takes_no_more() {
    let mut fixture = Fixture::of(level(4));
    fixture.push_all(&[1, 2]);
    fixture.queue.close();
    assert_eq!(fixture.ready(), Ready::Now);
    let status = fixture.try_push(item(2, 1)).unwrap_err();
    assert_eq!(status.code(), salver_core_status::Code::Unavailable);
    assert_eq!(fixture.take(), Some(vec![0, 1]));
    assert_eq!((fixture.ready(), fixture.queue.capacity()), (Ready::Never, 0));
}

#[test]
fn where_the_device_is_idle_whatever_waits_may_leave_early() {
    let mut fixture = Fixture::of(level(4));
    fixture.push_all(&[1, 1]);
    let batch = fixture.queue.take_early(fixture.now).batch.unwrap();
    assert_eq!(batch.rows, 2);
    assert!(fixture.queue.take_early(fixture.now).batch.is_none());
}

#[test]
fn a_batch_tells_how_long_its_tasks_waited() {
    let mut fixture = Fixture::new(options(level(3)));
    let start = fixture.now;
    fixture.push(item(0, 1));
    fixture.advance(2);
    fixture.push(item(1, 1));
    fixture.advance(3);
    fixture.push(item(2, 1));
    let batch = fixture.take_batch().unwrap();
    assert_eq!((batch.opened, batch.waited), (start, ms(5 + 3)));
}
