//! Models of the threads' sleep and wake: in no order of events does a batch wait for a thread that was not called, and all
//! threads end. `cargo xtask loom` runs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use salver_batching_queue::{Batch, Dropped, QueueOptions, Task};
use salver_core_clock::ManualClock;

use crate::{Consumer, InFlight, PoolOptions, QueueHandle, QueueOrder, Scheduler};

#[derive(Debug)]
struct Unit;

impl Task for Unit {
    type Key = ();

    fn key(&self) {}

    fn size(&self) -> usize {
        1
    }

    fn split(self, _sizes: &[usize]) -> Vec<Self> {
        vec![self]
    }
}

/// Counts tasks. What it counts with is no part of the model.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Consumer<Unit> for Counter {
    fn run(&self, batch: Batch<Unit>) {
        self.0.fetch_add(batch.tasks.len(), Ordering::Relaxed);
    }

    fn dropped(&self, dropped: Dropped<Unit>) {
        panic!("{dropped:?}");
    }
}

/// A pool of so many threads with one queue, used by `body`; afterwards everything ends and so many tasks have run.
fn model(threads: usize, tasks: usize, body: impl Fn(QueueHandle<Unit>) + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let options = PoolOptions {
            name: "model".to_owned(),
            threads,
            order: QueueOrder::RoundRobin,
            in_flight: InFlight::Threads,
        };
        let scheduler = Scheduler::start(options, Arc::new(ManualClock::new())).unwrap();
        let workers = scheduler.take_threads();
        let counter = Arc::new(Counter::default());
        let consumer: Arc<dyn Consumer<Unit>> = Arc::<Counter>::clone(&counter);
        let queue = scheduler.add_queue(QueueOptions::default(), consumer).unwrap();
        drop(scheduler);
        body(queue);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(counter.0.load(Ordering::Relaxed), tasks);
    });
}

#[test]
fn a_task_is_run_however_its_thread_goes_to_sleep() {
    model(1, 1, |queue| {
        queue.schedule(Unit).unwrap();
        // Returns only once it has run, so the thread was woken for it and not for the end.
        queue.close();
    });
}

#[test]
fn the_second_of_two_threads_is_called_where_the_first_is_busy() {
    model(2, 2, |queue| {
        queue.schedule(Unit).unwrap();
        queue.schedule(Unit).unwrap();
        queue.close();
    });
}

#[test]
fn what_comes_while_a_caller_runs_its_own_is_run_too() {
    model(1, 2, |queue| {
        let queue = Arc::new(queue);
        let other = {
            let queue = Arc::clone(&queue);
            loom::thread::spawn(move || queue.schedule(Unit).unwrap())
        };
        queue.schedule_or_run(Unit).unwrap();
        other.join().unwrap();
        Arc::into_inner(queue).unwrap().close();
    });
}
