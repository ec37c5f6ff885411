//! Tasks that tests can tell apart, and queues for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use salver_core_status::Status;

use crate::{Batch, Dropped, GivenUp, Level, Queue, QueueOptions, Ready, Task};

/// The rows `first..first + rows` of the task of this number.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) number: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) key: u8,
    pub(super) level: Option<usize>,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    pub(super) is_cancelled: Arc<AtomicBool>,
    /// The sizes it was split into.
    pub(super) parts: Arc<Mutex<Vec<usize>>>,
}

pub(super) fn item(number: usize, rows: usize) -> Item {
    Item {
        number,
        first: 0,
        rows,
        key: 0,
        level: None,
        timeout: None,
        deadline: None,
        is_cancelled: Arc::default(),
        parts: Arc::default(),
    }
}

impl Item {
    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

impl Task for Item {
    type Key = u8;

    fn key(&self) -> u8 {
        self.key
    }

    fn size(&self) -> usize {
        self.rows
    }

    fn level(&self) -> Option<usize> {
        self.level
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    fn given_up(&self, now: Instant) -> Option<GivenUp> {
        if self.is_cancelled.load(Ordering::Relaxed) {
            return Some(GivenUp::Cancelled);
        }
        self.deadline.filter(|deadline| *deadline <= now).map(|_| GivenUp::Expired)
    }

    fn split(self, sizes: &[usize]) -> Vec<Self> {
        assert_eq!(sizes.iter().sum::<usize>(), self.rows, "the parts are the whole");
        *self.parts.lock().unwrap() = sizes.to_vec();
        let mut first = self.first;
        let part = |rows: &usize| {
            first += rows;
            Self { first: first - rows, rows: *rows, ..self.clone() }
        };
        sizes.iter().map(part).collect()
    }
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Batches of `size`, a timeout of 10 ms, and 3 batches at most.
pub(super) fn level(size: usize) -> Level {
    Level {
        max_batch_size: size,
        max_execution_batch_size: size,
        batch_timeout: ms(10),
        max_enqueued_batches: 3,
        ..Level::default()
    }
}

pub(super) fn options(level: Level) -> QueueOptions {
    QueueOptions { levels: vec![level], ..QueueOptions::default() }
}

/// A queue, the time, and what came back.
pub(super) struct Fixture {
    pub(super) queue: Queue<Item>,
    pub(super) now: Instant,
    /// The numbers of tasks that were dropped, and why.
    pub(super) dropped: Vec<(usize, Status)>,
}

impl Fixture {
    pub(super) fn new(options: QueueOptions) -> Self {
        Self { queue: Queue::new(options).unwrap(), now: Instant::now(), dropped: Vec::new() }
    }

    pub(super) fn of(level: Level) -> Self {
        Self::new(options(level))
    }

    pub(super) fn try_push(&mut self, item: Item) -> Result<(), Status> {
        let pushed = self.queue.push(item, self.now);
        pushed.map_err(|refused| {
            self.note(refused.dropped);
            refused.status
        })
    }

    pub(super) fn push(&mut self, item: Item) {
        self.try_push(item).unwrap();
    }

    /// Pushes tasks of these rows, numbered from 0.
    pub(super) fn push_all(&mut self, rows: &[usize]) {
        rows.iter().enumerate().for_each(|(number, rows)| self.push(item(number, *rows)));
    }

    pub(super) fn advance(&mut self, by: u64) {
        self.now += ms(by);
    }

    pub(super) fn ready(&self) -> Ready {
        self.queue.ready(self.now)
    }

    /// Takes a batch: the numbers of its tasks.
    pub(super) fn take(&mut self) -> Option<Vec<usize>> {
        self.take_batch().map(|batch| numbers(&batch))
    }

    pub(super) fn take_batch(&mut self) -> Option<Batch<Item>> {
        let taken = self.queue.take(self.now);
        self.note(taken.dropped);
        taken.batch
    }

    pub(super) fn note(&mut self, dropped: Vec<Dropped<Item>>) {
        self.dropped.extend(dropped.into_iter().map(|dropped| (dropped.task.number, dropped.status)));
    }

    /// How many milliseconds from now the queue is ready; 0 for now.
    pub(super) fn wait(&self) -> Option<u128> {
        match self.ready() {
            Ready::Now => Some(0),
            Ready::At(at) => Some((at - self.now).as_millis()),
            Ready::Never => None,
        }
    }
}

pub(super) fn numbers(batch: &Batch<Item>) -> Vec<usize> {
    batch.tasks.iter().map(|task| task.number).collect()
}
