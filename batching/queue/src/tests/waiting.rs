//! Tasks that wait too long, or that nobody wants any more.

use salver_core_status::{Code, Status};

use super::fixture::{Fixture, Item, item, level, ms};
use crate::{Level, QueuePolicy, Ready, TimeoutAction};

fn with_timeout(timeout_action: TimeoutAction) -> Fixture {
    let policy = QueuePolicy {
        default_timeout: Some(ms(4)),
        allow_timeout_override: true,
        timeout_action,
        ..QueuePolicy::default()
    };
    Fixture::of(Level { policy, ..level(4) })
}

#[test]
fn a_task_that_gave_up_is_dropped_before_the_run_and_those_behind_take_its_place() {
    let mut fixture = Fixture::of(level(4));
    let cancelled = item(0, 3);
    fixture.push(cancelled.clone());
    fixture.push(Item { deadline: Some(fixture.now), ..item(1, 1) });
    fixture.push_all(&[1, 3]);
    cancelled.cancel();
    let batch = fixture.take_batch().unwrap();
    assert_eq!(batch.rows, 4);
    let codes: Vec<_> = fixture.dropped.iter().map(|(_, status)| status.code()).collect();
    assert_eq!(codes, [Code::Cancelled, Code::DeadlineExceeded]);
}

#[test]
fn a_batch_that_is_not_full_once_tasks_have_gone_waits_on() {
    let mut fixture = Fixture::of(level(4));
    let cancelled = item(0, 3);
    fixture.push(cancelled.clone());
    fixture.advance(4);
    fixture.push(item(1, 1));
    cancelled.cancel();
    assert_eq!(fixture.ready(), Ready::Now);
    assert_eq!(fixture.take(), None);
    assert_eq!(fixture.dropped.len(), 1);
    // It counts from the first that is left.
    assert_eq!(fixture.wait(), Some(10));
    fixture.push(item(2, 3));
    assert_eq!(fixture.take(), Some(vec![1, 2]));
}

#[test]
fn a_batch_of_which_all_gave_up_does_not_hide_the_next() {
    let mut fixture = Fixture::of(level(4));
    let cancelled = Item { key: 1, ..item(0, 4) };
    fixture.push(cancelled.clone());
    fixture.push(item(1, 4));
    cancelled.cancel();
    assert_eq!(fixture.take(), Some(vec![1]));
}

#[test]
fn a_task_that_waits_too_long_is_rejected_on_time() {
    let mut fixture = with_timeout(TimeoutAction::Reject);
    fixture.push(item(0, 1));
    assert_eq!(fixture.wait(), Some(4));
    assert_eq!(fixture.queue.rejects_at(), Some(fixture.now + ms(4)));
    fixture.advance(4);
    assert_eq!(fixture.ready(), Ready::Now);
    assert_eq!(fixture.take(), None);
    assert_eq!(fixture.dropped, [(0, Status::unavailable("Request timeout expired"))]);
    assert_eq!((fixture.ready(), fixture.queue.rejects_at()), (Ready::Never, None));
}

#[test]
fn a_task_may_say_that_it_waits_less_but_not_more() {
    let mut fixture = with_timeout(TimeoutAction::Reject);
    for (number, timeout) in [(0, 9), (1, 2), (2, 3)] {
        fixture.push(Item { timeout: Some(ms(timeout)), ..item(number, 1) });
    }
    fixture.advance(2);
    let dropped = fixture.queue.reject(fixture.now);
    fixture.note(dropped);
    assert_eq!(fixture.wait(), Some(1));
    fixture.advance(1);
    let dropped = fixture.queue.reject(fixture.now);
    fixture.note(dropped);
    assert_eq!(fixture.wait(), Some(1));
    assert_eq!(fixture.dropped.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn where_tasks_may_not_say_how_long_they_wait_they_wait() {
    let mut fixture = Fixture::of(level(4));
    fixture.push(Item { timeout: Some(ms(1)), ..item(0, 1) });
    assert_eq!((fixture.wait(), fixture.queue.rejects_at()), (Some(10), None));
}

#[test]
fn only_those_that_waited_too_long_are_rejected() {
    let mut fixture = with_timeout(TimeoutAction::Reject);
    let cancelled = item(0, 1);
    fixture.push(cancelled.clone());
    cancelled.cancel();
    assert!(fixture.queue.reject(fixture.now).is_empty());
    assert_eq!(fixture.queue.len(), 1);
}

#[test]
fn a_task_that_has_left_is_not_waited_for() {
    let mut fixture = with_timeout(TimeoutAction::Reject);
    fixture.push(item(0, 4));
    fixture.advance(1);
    fixture.push(Item { key: 1, ..item(1, 1) });
    assert_eq!(fixture.take(), Some(vec![0]));
    assert_eq!(fixture.queue.rejects_at(), Some(fixture.now + ms(4)));
}

#[test]
fn timeouts_of_tasks_that_have_left_do_not_pile_up() {
    let mut fixture = with_timeout(TimeoutAction::Reject);
    // One that stays in front of all others.
    fixture.push(Item { key: 1, timeout: Some(ms(1)), ..item(0, 1) });
    for number in 1..10_000 {
        fixture.push(item(number, 4));
        assert_eq!(fixture.take(), Some(vec![number]));
        assert!(fixture.queue.timers() < 100);
    }
}

#[test]
fn a_delayed_task_leaves_after_those_that_have_time_left() {
    let mut fixture = with_timeout(TimeoutAction::Delay);
    fixture.push(item(0, 2));
    assert_eq!(fixture.queue.rejects_at(), None);
    fixture.advance(4);
    fixture.push(item(1, 2));
    fixture.push(item(2, 1));
    fixture.push(item(3, 1));
    assert_eq!(fixture.take(), Some(vec![1, 2, 3]));
    assert_eq!(fixture.wait(), Some(6));
    fixture.advance(6);
    assert_eq!(fixture.take(), Some(vec![0]));
    assert!(fixture.dropped.is_empty());
}

#[test]
fn a_delayed_task_still_fills_a_batch() {
    let mut fixture = with_timeout(TimeoutAction::Delay);
    fixture.push(item(0, 2));
    fixture.advance(4);
    fixture.push(item(1, 2));
    assert_eq!(fixture.take(), Some(vec![1, 0]));
}
