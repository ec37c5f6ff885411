//! What the core decides, case by case.

use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_batching_queue::{Batch, Dropped, Queue, QueueOptions};

use super::fixture::{Item, pool, queue};
use crate::core::Core;
use crate::limit::Limit;
use crate::work::{Ended, Next, Wake, Work};
use crate::{Consumer, PoolOptions, QueueOrder};

struct Nobody;

impl Consumer<Item> for Nobody {
    fn run(&self, _: Batch<Item>) {}
    fn dropped(&self, _: Dropped<Item>) {}
}

struct Fixture {
    core: Core<Item>,
    start: Instant,
}

/// A pool whose threads all rest.
fn resting(options: &PoolOptions) -> Fixture {
    let start = Instant::now();
    let mut core = Core::new(options.order, Limit::new(options).unwrap(), start);
    for worker in 0..options.threads {
        assert!(matches!(core.next(worker, None, start).0, Next::Rest(None)));
    }
    Fixture { core, start }
}

impl Fixture {
    fn add(&mut self, options: QueueOptions) -> usize {
        self.core.add(Queue::new(options).unwrap(), Arc::new(Nobody), false).0
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Schedules; returns which thread is woken.
    fn push(&mut self, slot: usize, number: u64, ms: u64) -> Option<usize> {
        let at = self.at(ms);
        let (pushed, wake) = self.core.push(slot, Item::new(number), at);
        pushed.unwrap();
        wake.worker
    }

    fn run(&mut self, worker: usize, ended: Option<&Ended>, ms: u64) -> (Work<Item>, Wake) {
        let at = self.at(ms);
        match self.core.next(worker, ended, at) {
            (Next::Run(work), _, wake) => (work, wake),
            _ => panic!("{worker} has nothing to do"),
        }
    }

    fn rest(&mut self, worker: usize, ended: Option<&Ended>, ms: u64) -> Option<Instant> {
        let at = self.at(ms);
        match self.core.next(worker, ended, at) {
            (Next::Rest(until), ..) => until,
            _ => panic!("{worker} has something to do"),
        }
    }
}

fn ended(work: &Work<Item>) -> Ended {
    Ended { slot: work.slot, since: work.since, is_run: work.is_run, ran: None }
}

fn numbers(work: &Work<Item>) -> Vec<u64> {
    work.batch.iter().flat_map(|batch| &batch.tasks).map(|item| item.number).collect()
}

fn timeout(size: usize, ms: u64) -> QueueOptions {
    queue(size, Duration::from_millis(ms))
}

#[test]
fn a_queue_that_had_no_turn_comes_before_one_that_just_had_its_own() {
    let mut fixture = resting(&pool(1));
    let (hot, cold) = (fixture.add(timeout(1, 0)), fixture.add(timeout(1, 0)));
    assert_eq!(fixture.push(hot, 0, 0), Some(0));
    let (first, _) = fixture.run(0, None, 0);
    // The hot one is ready again long before the cold one.
    (1..10).for_each(|number| assert_eq!(fixture.push(hot, number, 1), None));
    assert_eq!(fixture.push(cold, 100, 2), None);
    let (second, _) = fixture.run(0, Some(&ended(&first)), 3);
    assert_eq!(numbers(&second), [100]);
    assert_eq!(fixture.push(cold, 101, 4), None);
    let (third, _) = fixture.run(0, Some(&ended(&second)), 5);
    assert_eq!(numbers(&third), [1]);
}

#[test]
fn a_thread_is_woken_for_each_queue_that_needs_one_and_busy_ones_are_not() {
    let mut fixture = resting(&pool(3));
    let (a, b) = (fixture.add(timeout(1, 0)), fixture.add(timeout(1, 0)));
    let first = fixture.push(a, 0, 0).unwrap();
    // Somebody is on its way, and will see that there is more.
    assert_eq!(fixture.push(a, 1, 0), None);
    let second = fixture.push(b, 2, 0).unwrap();
    assert_eq!(fixture.push(b, 3, 0), None);
    let (_, wake) = fixture.run(first, None, 0);
    assert_eq!(wake.worker, Some(3 - first - second));
    assert_eq!(fixture.run(second, None, 0).1.worker, None);
    assert_eq!(fixture.run(3 - first - second, None, 0).1.worker, None);
    assert_eq!(fixture.push(a, 4, 0), None);
}

#[test]
fn one_thread_keeps_the_time_and_hands_it_on_when_it_runs_something() {
    let mut fixture = resting(&pool(2));
    let (a, b) = (fixture.add(timeout(10, 5)), fixture.add(timeout(10, 9)));
    let keeper = fixture.push(a, 0, 0).unwrap();
    assert_eq!(fixture.rest(keeper, None, 0), Some(fixture.at(5)));
    // Later than what is kept anyway.
    assert_eq!(fixture.push(b, 1, 0), None);
    let (work, wake) = fixture.run(keeper, None, 5);
    assert_eq!(numbers(&work), [0]);
    let other = wake.worker.unwrap();
    assert_ne!(other, keeper);
    assert_eq!(fixture.rest(other, None, 5), Some(fixture.at(9)));
    assert_eq!(fixture.rest(keeper, Some(&ended(&work)), 6), None);
}

#[test]
fn an_earlier_time_wakes_the_keeper_and_a_full_batch_whoever_keeps_nothing() {
    let mut fixture = resting(&pool(2));
    let (a, b) = (fixture.add(timeout(10, 9)), fixture.add(timeout(2, 5)));
    let keeper = fixture.push(a, 0, 0).unwrap();
    assert_eq!(fixture.rest(keeper, None, 0), Some(fixture.at(9)));
    assert_eq!(fixture.push(b, 1, 1), Some(keeper));
    assert_eq!(fixture.rest(keeper, None, 1), Some(fixture.at(6)));
    // What it would have been woken for at 6 is done now: it is the one to run it.
    assert_eq!(fixture.push(b, 2, 2), Some(keeper));
    let (work, wake) = fixture.run(keeper, None, 2);
    assert_eq!(numbers(&work), [1, 2]);
    let other = wake.worker.unwrap();
    assert_eq!(fixture.rest(other, None, 2), Some(fixture.at(9)));
}

#[test]
fn a_lone_task_is_given_to_its_caller_and_what_comes_meanwhile_to_a_thread() {
    let mut fixture = resting(&pool(2));
    let queue = fixture.add(timeout(2, 0));
    let at = fixture.start;
    let (work, wake) = fixture.core.push_or_take(queue, Item::new(0), at);
    assert_eq!(wake, Wake::default());
    let work = work.unwrap().unwrap();
    assert_eq!(numbers(&work), [0]);
    assert_eq!(fixture.push(queue, 1, 1), Some(1));
    let (theirs, _) = fixture.run(1, None, 1);
    // Two are in flight, on two threads' account: a third has to wait, whoever rests.
    assert_eq!(fixture.push(queue, 2, 2), None);
    let (refused_to, wake) = fixture.core.push_or_take(queue, Item::new(3), at);
    assert!(refused_to.unwrap().is_none());
    assert_eq!(wake, Wake::default());
    let at = fixture.at(3);
    assert_eq!(fixture.core.ended(&ended(&work), at).1.worker, Some(0));
    let (last, _) = fixture.run(0, None, 3);
    assert_eq!(numbers(&last), [2, 3]);
    assert_eq!(fixture.rest(1, Some(&ended(&theirs)), 4), None);
}

#[test]
fn a_task_that_has_to_wait_is_not_given_to_its_caller() {
    let mut fixture = resting(&pool(1));
    let queue = fixture.add(timeout(2, 5));
    let at = fixture.start;
    let (work, wake) = fixture.core.push_or_take(queue, Item::new(0), at);
    assert!(work.unwrap().is_none());
    assert_eq!(wake.worker, Some(0));
}

#[test]
fn ranked_queues_go_by_level_then_by_age() {
    let mut fixture = resting(&PoolOptions { order: QueueOrder::Ranked, ..pool(1) });
    let mut levels = timeout(1, 0);
    levels.levels.push(levels.levels[0].clone());
    levels.default_level = 1;
    let (a, b) = (fixture.add(levels.clone()), fixture.add(levels));
    assert_eq!(fixture.push(a, 0, 0), Some(0));
    let (first, _) = fixture.run(0, None, 0);
    fixture.push(a, 1, 1);
    fixture.push(b, 2, 2);
    fixture.push(a, 3, 3);
    let at = fixture.at(4);
    let urgent = Item { level: Some(0), ..Item::new(4) };
    fixture.core.push(b, urgent, at).0.unwrap();
    let mut order = Vec::new();
    let mut former = first;
    for _ in 0..4 {
        let (work, _) = fixture.run(0, Some(&ended(&former)), 5);
        order.extend(numbers(&work));
        former = work;
    }
    assert_eq!(order, [4, 1, 2, 3]);
}

#[test]
fn a_closed_queue_goes_when_the_last_of_its_batches_has_ended() {
    let mut fixture = resting(&pool(2));
    let queue = fixture.add(timeout(2, 1000));
    let keeper = fixture.push(queue, 0, 0);
    let at = fixture.at(1);
    let (gone, wake) = fixture.core.close(queue, at);
    // The thread that was called to keep the time is on its way.
    assert!(gone.is_none() && wake == Wake::default());
    let (work, _) = fixture.run(keeper.unwrap(), None, 1);
    let (_, gone, _) = fixture.core.next(keeper.unwrap(), Some(&ended(&work)), at);
    assert!(gone.is_some());
    assert_eq!(fixture.add(timeout(1, 0)), queue, "the slot is free again");
}
