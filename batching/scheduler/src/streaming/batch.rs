//! One batch that is filled while it runs.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use salver_core_clock::Clock;

/// The tasks of one batch, as they arrive. The batch closes when this is dropped, or the call ends that it was given to;
/// tasks that have not been taken are dropped then.
pub struct BatchStream<T> {
    filling: Arc<Filling<T>>,
    clock: Arc<dyn Clock>,
}

/// A batch that is open or running. Its lock is taken inside that of the scheduler, and never the other way round.
pub(super) struct Filling<T> {
    state: Mutex<Fill<T>>,
    changed: Condvar,
    closes_at: Option<Instant>,
}

struct Fill<T> {
    tasks: VecDeque<T>,
    /// Of all tasks that there were.
    rows: usize,
    is_closed: bool,
    is_awaited: bool,
}

impl<T> Filling<T> {
    /// Opens with its first task.
    pub(super) fn open(task: T, rows: usize, limit: usize, timeout: Option<Duration>, now: Instant) -> Self {
        let fill = Fill { tasks: VecDeque::from([task]), rows, is_closed: rows == limit, is_awaited: false };
        // A time-out past the end of time is none.
        let closes_at = timeout.and_then(|timeout| now.checked_add(timeout));
        Self { state: Mutex::new(fill), changed: Condvar::new(), closes_at }
    }

    /// Adds a task, or closes where it does not fit or the time has passed.
    pub(super) fn add(&self, task: T, size: usize, limit: usize, now: Instant) -> Result<(), T> {
        let mut fill = self.state.lock();
        let is_over = self.closes_at.is_some_and(|at| at <= now);
        let added = if fill.is_closed || is_over || size > limit.saturating_sub(fill.rows) {
            fill.is_closed = true;
            Err(task)
        } else {
            fill.tasks.push_back(task);
            fill.rows += size;
            fill.is_closed = fill.rows == limit;
            Ok(())
        };
        let is_awaited = fill.is_awaited;
        drop(fill);
        if is_awaited {
            self.changed.notify_one();
        }
        added
    }

    /// Whether it takes no more, as far as anybody has looked.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Lets whoever reads it look at the clock.
    pub(super) fn look(&self) {
        // Between a look at the clock and the sleep that follows the reader has the lock.
        let fill = self.state.lock();
        self.changed.notify_one();
        drop(fill);
    }

    /// Closes it, and gives out what nobody took.
    pub(super) fn end(&self) -> VecDeque<T> {
        let mut fill = self.state.lock();
        fill.is_closed = true;
        std::mem::take(&mut fill.tasks)
    }

    /// Waits until something changes or it is time to close, and closes it then. There is one reader.
    fn wait(&self, fill: &mut MutexGuard<'_, Fill<T>>, clock: &dyn Clock) {
        fill.is_awaited = true;
        match self.closes_at.map(|at| at.saturating_duration_since(clock.now())) {
            None => self.changed.wait(fill),
            Some(Duration::ZERO) => fill.is_closed = true,
            Some(left) => {
                // Whether time has passed is for the clock to say.
                let _ = self.changed.wait_for(fill, left);
            }
        }
        fill.is_awaited = false;
    }
}

impl<T> BatchStream<T> {
    pub(super) fn new(filling: Arc<Filling<T>>, clock: Arc<dyn Clock>) -> Self {
        Self { filling, clock }
    }

    /// A task that is there already; `None` where none is, though one may still come.
    pub fn try_next(&mut self) -> Option<T> {
        self.filling.state.lock().tasks.pop_front()
    }

    /// Whether no task will be added any more. Those that are there can still be taken.
    pub fn is_closed(&self) -> bool {
        let mut fill = self.filling.state.lock();
        fill.is_closed |= self.filling.closes_at.is_some_and(|at| at <= self.clock.now());
        fill.is_closed
    }

    /// The rows of all tasks that were added so far, those taken counted.
    pub fn rows(&self) -> usize {
        self.filling.state.lock().rows
    }

    /// Waits until no task will be added any more. Blocks.
    pub fn wait_until_closed(&mut self) {
        let mut fill = self.filling.state.lock();
        while !fill.is_closed {
            self.filling.wait(&mut fill, &*self.clock);
        }
    }
}

/// Each task as it arrives: blocks while the batch is open and none is there.
impl<T> Iterator for BatchStream<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let mut fill = self.filling.state.lock();
        loop {
            if let Some(task) = fill.tasks.pop_front() {
                return Some(task);
            }
            if fill.is_closed {
                return None;
            }
            self.filling.wait(&mut fill, &*self.clock);
        }
    }
}

impl<T> Drop for BatchStream<T> {
    fn drop(&mut self) {
        let left = self.filling.end();
        drop(left);
    }
}

impl<T> fmt::Debug for BatchStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream").field("rows", &self.rows()).finish_non_exhaustive()
    }
}
