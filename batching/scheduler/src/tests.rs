//! The pool with its threads. Nothing sleeps: the device is stepped by hand, and so is the clock.

mod core;
mod fixture;
mod schedules;
mod streaming;

use std::sync::Arc;
use std::time::Duration;

use salver_core_clock::{ManualClock, SystemClock};
use salver_core_status::Code;

use self::fixture::{Device, Item, pool, queue};
use crate::{BasicScheduler, InFlight, PoolOptions, QueueOrder, Scheduler};

#[test]
fn every_task_runs_once_whoever_schedules_it() {
    const TASKS: u64 = 20_000;
    let device = Device::running();
    let scheduler = Scheduler::start(pool(2), Arc::new(SystemClock)).unwrap();
    let queues: Vec<_> =
        (0..3).map(|_| scheduler.add_queue(queue(8, Duration::ZERO), device.consumer("")).unwrap()).collect();
    std::thread::scope(|scope| {
        for producer in 0..4 {
            let queues = &queues;
            scope.spawn(move || {
                for number in (0..TASKS).filter(|number| number % 4 == producer) {
                    let queue = &queues[number as usize % queues.len()];
                    let mut item = Item::new(number);
                    while let Err(refused) =
                        if number % 2 == 0 { queue.schedule(item) } else { queue.schedule_or_run(item) }
                    {
                        assert_eq!(refused.status.code(), Code::Unavailable);
                        item = refused.task;
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    queues.into_iter().for_each(|queue| queue.close());
    let mut ran = device.ran();
    ran.sort_unstable();
    assert!(ran.iter().copied().eq(0..TASKS), "{} ran of {TASKS}", ran.len());
}

#[test]
fn the_threads_end_with_the_last_handle_and_run_what_waits_before() {
    let device = Device::held();
    let scheduler = Scheduler::start(pool(3), Arc::new(SystemClock)).unwrap();
    let threads = scheduler.take_threads();
    let queue = scheduler.add_queue(queue(1, Duration::ZERO), device.consumer("")).unwrap();
    (0..9).for_each(|number| queue.schedule(Item::new(number)).unwrap());
    drop(scheduler);
    drop(queue);
    device.release();
    assert_eq!(threads.len(), 3);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(device.ran().len(), 9);
    assert_eq!(device.consumers(), 0);
}

#[test]
fn a_consumer_that_panics_takes_nobody_with_it() {
    let device = Device::running();
    let basic = BasicScheduler::start(
        pool(1),
        queue(1, Duration::ZERO),
        device.consumer("panics"),
        Arc::new(SystemClock),
    )
    .unwrap();
    (0..3).for_each(|number| basic.schedule(Item::new(number)).unwrap());
    basic.close();
    assert_eq!(device.ran(), [0, 1, 2]);
}

#[test]
fn options_that_make_no_sense_are_named() {
    let start = |options: PoolOptions| Scheduler::<Item>::start(options, Arc::new(ManualClock::new()));
    let none = start(pool(0)).unwrap_err();
    assert_eq!(none.code(), Code::InvalidArgument);
    assert_eq!(none.message(), "num_batch_threads is 0, 1 to 4096 was wanted");
    assert_eq!(start(pool(5000)).unwrap_err().code(), Code::InvalidArgument);
    let adaptive = salver_batching_tune::AdaptiveOptions {
        min_limit: 1.0,
        max_limit: 3.0,
        initial_limit: 2.0,
        batches_to_average_over: 1000,
    };
    let options = PoolOptions {
        name: "pool".to_owned(),
        threads: 2,
        order: QueueOrder::Ranked,
        in_flight: InFlight::Adaptive(adaptive),
    };
    let beyond = start(options).unwrap_err();
    assert_eq!(beyond.message(), "in_flight.max_limit is 3, at most num_batch_threads (2) was wanted");
    let nameless = start(PoolOptions { name: "a\0b".to_owned(), ..pool(1) }).unwrap_err();
    assert_eq!(nameless.code(), Code::InvalidArgument);
}

#[test]
fn a_batch_that_is_not_full_runs_at_its_time_and_one_that_fills_before() {
    let (device, clock) = (Device::running(), ManualClock::new());
    let scheduler = Scheduler::start(pool(1), Arc::new(clock.clone())).unwrap();
    let queue = scheduler.add_queue(queue(2, Duration::from_secs(3600)), device.consumer("")).unwrap();
    (0..3).for_each(|number| queue.schedule(Item::new(number)).unwrap());
    assert_eq!(device.begun(1), [("", vec![0, 1])]);
    assert_eq!(queue.len(), 1);
    clock.advance(Duration::from_secs(3600));
    scheduler.nudge();
    assert_eq!(device.begun(2), [("", vec![0, 1]), ("", vec![2])]);
}

#[test]
fn a_hot_queue_delays_a_cold_one_by_one_running_batch_for_each_thread() {
    const THREADS: usize = 2;
    let device = Device::held();
    let scheduler = Scheduler::start(pool(THREADS), Arc::new(SystemClock)).unwrap();
    let hot = scheduler.add_queue(queue(1, Duration::ZERO), device.consumer("hot")).unwrap();
    let cold = scheduler.add_queue(queue(1, Duration::ZERO), device.consumer("cold")).unwrap();
    (0..50).for_each(|number| hot.schedule(Item::new(number)).unwrap());
    let mut begun = device.begun(THREADS).len();
    for number in 100..110 {
        cold.schedule(Item::new(number)).unwrap();
        // The first of those that run to end makes way for it.
        device.step();
        begun += 1;
        assert_eq!(device.begun(begun)[begun - 1], ("cold", vec![number]));
        // Then it is the hot one's turn.
        (0..THREADS).for_each(|_| device.step());
        begun += THREADS;
        assert!(device.begun(begun)[begun - THREADS..].iter().all(|(name, _)| *name == "hot"));
    }
    device.release();
    hot.close();
    cold.close();
    assert_eq!(device.ran().len(), 60);
}

#[test]
fn a_task_that_waited_too_long_is_answered_while_all_threads_run() {
    let (device, clock) = (Device::held(), ManualClock::new());
    let scheduler = Scheduler::start(pool(1), Arc::new(clock.clone())).unwrap();
    let mut options = queue(1, Duration::ZERO);
    options.levels[0].policy.default_timeout = Some(Duration::from_millis(10));
    let impatient = scheduler.add_queue(options, device.consumer("panics")).unwrap();
    impatient.schedule(Item::new(0)).unwrap();
    device.begun(1);
    (1..3).for_each(|number| impatient.schedule(Item::new(number)).unwrap());
    clock.advance(Duration::from_millis(10));
    scheduler.nudge();
    let dropped = device.dropped(2);
    assert_eq!(dropped.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
    let threads = scheduler.take_threads();
    drop((scheduler, impatient));
    device.release();
    assert_eq!(threads.len(), 2);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(device.ran(), [0]);
}

#[test]
fn a_lone_task_runs_on_its_callers_thread_and_does_not_keep_it() {
    let device = Device::held();
    let scheduler = Scheduler::start(pool(1), Arc::new(SystemClock)).unwrap();
    let queue = scheduler.add_queue(queue(1, Duration::ZERO), device.consumer("")).unwrap();
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| queue.schedule_or_run(Item::new(0)).unwrap());
        device.begun(1);
        // In the one thread's place: the others wait, though that thread sleeps.
        (1..3).for_each(|number| queue.schedule_or_run(Item::new(number)).unwrap());
        assert_eq!(queue.len(), 2);
        device.step();
        // What waited is the pool's, which is held with it.
        caller.join().unwrap();
    });
    assert_eq!(device.begun(2).len(), 2);
    device.release();
    queue.close();
    assert_eq!(device.ran(), [0, 1, 2]);
}

#[test]
fn queues_come_and_go_while_others_run() {
    let device = Device::running();
    let scheduler = Scheduler::start(pool(2), Arc::new(SystemClock)).unwrap();
    let threads = scheduler.take_threads();
    std::thread::scope(|scope| {
        for user in 0..4 {
            let (scheduler, device) = (scheduler.clone(), &device);
            scope.spawn(move || {
                for round in 0..100 {
                    let options = queue(3, Duration::from_micros(50));
                    let queue = scheduler.add_queue(options, device.consumer("")).unwrap();
                    (0..10).for_each(|task| {
                        queue.schedule(Item::new(user * 1000 + round * 10 + task)).unwrap();
                    });
                    if round % 2 == 0 { queue.close() } else { drop(queue) }
                }
            });
        }
    });
    drop(scheduler);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut ran = device.ran();
    ran.sort_unstable();
    assert!(ran.iter().copied().eq(0..4000), "{} ran", ran.len());
    assert_eq!(device.consumers(), 0);
}

#[test]
fn an_adaptive_pool_does_not_wait_for_the_time_out() {
    let device = Device::running();
    let adaptive = salver_batching_tune::AdaptiveOptions {
        min_limit: 1.0,
        max_limit: 2.0,
        initial_limit: 1.0,
        batches_to_average_over: 1000,
    };
    let options = PoolOptions { in_flight: InFlight::Adaptive(adaptive), ..pool(2) };
    let scheduler = Scheduler::start(options, Arc::new(ManualClock::new())).unwrap();
    let queue = scheduler.add_queue(queue(10, Duration::from_secs(3600)), device.consumer("")).unwrap();
    queue.schedule(Item::new(0)).unwrap();
    assert_eq!(device.begun(1), [("", vec![0])]);
}
