//! The pool with its threads. Nothing sleeps: the device is stepped by hand, and so is the clock.

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
