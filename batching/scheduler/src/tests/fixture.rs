//! A device that is stepped by hand.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use salver_batching_queue::{Batch, Dropped, Level, QueueOptions, Task};

use crate::{Consumer, InFlight, PoolOptions, QueueOrder};

pub(crate) fn pool(threads: usize) -> PoolOptions {
    let (order, in_flight) = (QueueOrder::RoundRobin, InFlight::Threads);
    PoolOptions { name: "test".to_owned(), threads, order, in_flight }
}

/// Batches of up to `size` tasks.
pub(crate) fn queue(size: usize, batch_timeout: Duration) -> QueueOptions {
    let level = Level {
        max_batch_size: size,
        max_execution_batch_size: size,
        batch_timeout,
        max_enqueued_batches: 100,
        ..Level::default()
    };
    QueueOptions { levels: vec![level], ..QueueOptions::default() }
}

/// A task.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) number: u64,
    pub(crate) rows: usize,
    pub(crate) level: Option<usize>,
}

impl Item {
    pub(crate) fn new(number: u64) -> Self {
        Self::of_rows(number, 1)
    }

    pub(crate) fn of_rows(number: u64, rows: usize) -> Self {
        Self { number, rows, level: None }
    }
}

impl Task for Item {
    type Key = ();

    fn key(&self) {}

    fn size(&self) -> usize {
        self.rows
    }

    fn level(&self) -> Option<usize> {
        self.level
    }

    fn split(self, _sizes: &[usize]) -> Vec<Self> {
        vec![self]
    }
}

/// Notes what it runs. Where it is held, a batch runs until it is stepped on.
#[derive(Clone)]
pub(crate) struct Device(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many more batches may end; `None` for all.
    steps: Option<usize>,
    /// The batches that have begun, by the queue's name.
    begun: Vec<(&'static str, Vec<u64>)>,
    ended: usize,
    dropped: Vec<(u64, String)>,
}

impl Device {
    /// Every batch ends at once.
    pub(crate) fn running() -> Self {
        Self::new(None)
    }

    /// No batch ends before [`step`](Self::step) or [`release`](Self::release).
    pub(crate) fn held() -> Self {
        Self::new(Some(0))
    }

    fn new(steps: Option<usize>) -> Self {
        let state = Mutex::new(State { steps, ..State::default() });
        Self(Arc::new(Shared { state, changed: Condvar::new() }))
    }

    /// What runs the batches of the queue `name`. That called `panics` panics after each.
    pub(crate) fn consumer(&self, name: &'static str) -> Arc<dyn Consumer<Item>> {
        Arc::new(OnDevice { shared: Arc::clone(&self.0), name })
    }

    /// Lets one batch end, and waits until it has.
    pub(crate) fn step(&self) {
        let mut state = self.0.state.lock();
        let wanted = state.ended + 1;
        state.steps = state.steps.map(|steps| steps + 1);
        self.0.changed.notify_all();
        self.0.changed.wait_while(&mut state, |state| state.ended < wanted);
    }

    /// Lets all batches end.
    pub(crate) fn release(&self) {
        self.0.state.lock().steps = None;
        self.0.changed.notify_all();
    }

    /// Waits until so many batches have begun; returns all of them by the name of the queue.
    pub(crate) fn begun(&self, count: usize) -> Vec<(&'static str, Vec<u64>)> {
        let mut state = self.0.state.lock();
        self.0.changed.wait_while(&mut state, |state| state.begun.len() < count);
        state.begun.clone()
    }

    /// Waits until so many tasks were dropped.
    pub(crate) fn dropped(&self, count: usize) -> Vec<(u64, String)> {
        let mut state = self.0.state.lock();
        self.0.changed.wait_while(&mut state, |state| state.dropped.len() < count);
        state.dropped.clone()
    }

    /// The tasks that were run, in order.
    pub(crate) fn ran(&self) -> Vec<u64> {
        self.0.state.lock().begun.iter().flat_map(|(_, tasks)| tasks.iter().copied()).collect()
    }

    /// How many consumers are left.
    pub(crate) fn consumers(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

struct OnDevice {
    shared: Arc<Shared>,
    name: &'static str,
}

impl Consumer<Item> for OnDevice {
    fn run(&self, batch: Batch<Item>) {
        let numbers = batch.tasks.iter().map(|item| item.number).collect();
        let mut state = self.shared.state.lock();
        state.begun.push((self.name, numbers));
        self.shared.changed.notify_all();
        self.shared.changed.wait_while(&mut state, |state| state.steps == Some(0));
        state.steps = state.steps.map(|steps| steps - 1);
        state.ended += 1;
        self.shared.changed.notify_all();
        drop(state);
        assert_ne!(self.name, "panics", "as it should");
    }

    fn dropped(&self, dropped: Dropped<Item>) {
        let mut state = self.shared.state.lock();
        state.dropped.push((dropped.task.number, dropped.status.message().to_owned()));
        self.shared.changed.notify_all();
        drop(state);
        assert_ne!(self.name, "panics", "as it should");
    }
}
