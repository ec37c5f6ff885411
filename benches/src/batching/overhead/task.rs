//! Tasks without content, and a pool for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_batching_queue::{Batch, Dropped, Level, QueueOptions, Refused, Task};
use salver_batching_scheduler::{Consumer, InFlight, PoolOptions, QueueOrder, Scheduler};
use salver_core_clock::SystemClock;

/// A task of one row.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) pushed: Instant,
}

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

/// Runs batches by calling a function, and expects none to be dropped.
pub(super) struct Run<F>(pub(super) F);

impl<T, F: Fn(Batch<T>) + Send + Sync + 'static> Consumer<T> for Run<F> {
    fn run(&self, batch: Batch<T>) {
        (self.0)(batch);
    }

    fn dropped(&self, _: Dropped<T>) {}
}

pub(super) fn pool<T: Task>(threads: usize) -> anyhow::Result<Scheduler<T>> {
    let options = PoolOptions {
        name: "bench".to_owned(),
        threads,
        order: QueueOrder::RoundRobin,
        in_flight: InFlight::Threads,
    };
    Ok(Scheduler::start(options, Arc::new(SystemClock))?)
}

/// One level.
pub(super) fn queue(size: usize, batch_timeout: Duration, max_enqueued_batches: usize) -> QueueOptions {
    let level = Level {
        max_batch_size: size,
        max_execution_batch_size: size,
        batch_timeout,
        max_enqueued_batches,
        ..Level::default()
    };
    QueueOptions { levels: vec![level], ..QueueOptions::default() }
}

/// Schedules until there is room; returns how often there was none.
pub(super) fn insist<T>(task: T, mut schedule: impl FnMut(T) -> Result<(), Refused<T>>) -> u64 {
    let (mut task, mut refusals) = (task, 0);
    while let Err(refused) = schedule(task) {
        task = refused.task;
        refusals += 1;
        std::thread::yield_now();
    }
    refusals
}
