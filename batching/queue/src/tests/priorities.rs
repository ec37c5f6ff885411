//! Tasks of different levels.

use super::fixture::{Fixture, Item, item, level, ms};
use crate::{BatchPadding, Level, PriorityMixing, QueueOptions};

/// Two levels: of the higher batches of 8, 4 and 6 allowed, and a timeout of 10 ms; of the lower batches of 4 and 50 ms.
fn two(mixing: PriorityMixing) -> Fixture {
    let high = Level { allowed_batch_sizes: vec![4, 6, 8], ..level(8) };
    let low = Level { batch_timeout: ms(50), ..level(4) };
    Fixture::new(QueueOptions { levels: vec![high, low], mixing, ..QueueOptions::default() })
}

fn push(fixture: &mut Fixture, tasks: &[(usize, usize)]) {
    for (number, (level, rows)) in tasks.iter().enumerate() {
        fixture.push(Item { level: Some(*level), ..item(number, *rows) });
    }
}

#[test]
fn a_batch_that_leaves_is_filled_with_lower_tasks_as_the_policy_says() {
    let cases = [
        (PriorityMixing::PadToMax, vec![0, 1, 2, 3, 4], 8),
        (PriorityMixing::PadToNextAllowed, vec![0, 1], 4),
        (PriorityMixing::Isolate, vec![0], 4),
        (PriorityMixing::Merge, vec![0, 1, 2, 3, 4], 8),
    ];
    for (mixing, wanted, padded) in cases {
        let mut fixture = two(mixing);
        push(&mut fixture, &[(0, 3), (1, 1), (1, 1), (1, 1), (1, 1)]);
        fixture.advance(10);
        let batch = fixture.take_batch().unwrap();
        assert_eq!((super::fixture::numbers(&batch), batch.padded_rows), (wanted, padded), "{mixing:?}");
    }
}

#[test]
fn a_lower_task_that_does_not_fit_is_not_overtaken() {
    let mut fixture = two(PriorityMixing::PadToMax);
    push(&mut fixture, &[(0, 6), (1, 3), (1, 1)]);
    fixture.advance(10);
    assert_eq!(fixture.take(), Some(vec![0]));
}

#[test]
fn without_padding_there_is_nothing_to_fill_up_to() {
    let mut fixture = two(PriorityMixing::PadToNextAllowed);
    let options = QueueOptions { padding: BatchPadding::Disabled, ..fixture.queue.options().clone() };
    fixture = Fixture::new(options);
    push(&mut fixture, &[(0, 3), (1, 1)]);
    fixture.advance(10);
    assert_eq!(fixture.take(), Some(vec![0]));
}

#[test]
fn lower_tasks_leave_alone_when_they_are_full_or_have_waited_long_enough() {
    let mut fixture = two(PriorityMixing::Isolate);
    push(&mut fixture, &[(1, 1)]);
    assert_eq!(fixture.wait(), Some(50));
    fixture.push(Item { level: Some(1), ..item(1, 3) });
    assert_eq!(fixture.take(), Some(vec![0, 1]));
}

#[test]
fn of_two_that_are_ready_the_higher_leaves_first() {
    let mut fixture = two(PriorityMixing::Isolate);
    push(&mut fixture, &[(1, 4), (0, 8)]);
    assert_eq!(fixture.queue.best(fixture.now).unwrap().0, 0);
    assert_eq!([fixture.take(), fixture.take()], [Some(vec![1]), Some(vec![0])]);
}

#[test]
fn levels_have_room_of_their_own() {
    let mut fixture = two(PriorityMixing::PadToMax);
    push(&mut fixture, &[(1, 4), (1, 4), (1, 4)]);
    assert!(fixture.try_push(Item { level: Some(1), ..item(3, 1) }).is_err());
    fixture.push(Item { level: Some(0), ..item(3, 1) });
}

#[test]
fn a_task_of_no_level_is_of_the_default_and_one_of_an_unknown_level_of_the_lowest() {
    let levels = vec![level(4), level(4), level(4)];
    let options =
        QueueOptions { levels, default_level: 1, mixing: PriorityMixing::Isolate, ..QueueOptions::default() };
    let mut fixture = Fixture::new(options);
    for (number, level) in [Some(7), None, Some(0)].into_iter().enumerate() {
        fixture.push(Item { level, ..item(number, 4) });
    }
    let levels: Vec<_> = std::iter::from_fn(|| {
        let (level, _) = fixture.queue.best(fixture.now)?;
        Some((level, fixture.take()?))
    })
    .collect();
    assert_eq!(levels, [(0, vec![2]), (1, vec![1]), (2, vec![0])]);
}

#[test]
fn merged_levels_leave_together_the_highest_first() {
    let levels = vec![level(4), level(4), level(4)];
    let mut fixture =
        Fixture::new(QueueOptions { levels, mixing: PriorityMixing::Merge, ..QueueOptions::default() });
    push(&mut fixture, &[(2, 1), (1, 1), (0, 1), (2, 1), (1, 1)]);
    assert_eq!(fixture.take(), Some(vec![2, 1, 4, 0]));
    assert_eq!(fixture.take(), None);
    fixture.advance(10);
    assert_eq!(fixture.take(), Some(vec![3]));
}

#[test]
fn a_merged_batch_leaves_by_the_first_timeout_of_any_level() {
    let mut fixture = two(PriorityMixing::Merge);
    push(&mut fixture, &[(1, 1)]);
    fixture.advance(45);
    assert_eq!(fixture.wait(), Some(5));
    fixture.push(Item { level: Some(0), ..item(1, 1) });
    assert_eq!(fixture.wait(), Some(5));
    fixture.advance(5);
    assert_eq!(fixture.take(), Some(vec![1, 0]));
}
