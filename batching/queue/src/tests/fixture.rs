//! Tasks that tests can tell apart, and queues for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::{GivenUp, Level, Queue, QueueOptions, Task};

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

/// A queue, and the time.
pub(super) struct Fixture {
    pub(super) queue: Queue<Item>,
    pub(super) now: Instant,
    pub(super) start: Instant,
}

impl Fixture {
    pub(super) fn new(options: QueueOptions) -> Self {
        let now = Instant::now();
        Self { queue: Queue::new(options).unwrap(), now, start: now }
    }
}
