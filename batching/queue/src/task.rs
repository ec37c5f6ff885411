//! What can wait in a queue.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// A piece of work that can be run together with others.
///
/// Its methods are called while a driver holds the lock of all its queues: they neither block nor panic, and are cheap.
pub trait Task: Send + Sized + 'static {
    /// Which tasks it may share a batch with: those of an equal key. `()` where any may.
    type Key: Clone + Debug + Eq + Hash + Send + 'static;

    /// Which tasks it may share a batch with.
    fn key(&self) -> Self::Key;

    /// How many rows it adds to a batch, 1 or more. Always the same.
    fn size(&self) -> usize;

    /// Its level, 0 the highest; `None` for the queue's default. A level that the queue does not have is its lowest.
    fn level(&self) -> Option<usize> {
        None
    }

    /// How long it may wait, where the queue lets tasks say so.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Why it need not be run any more, if so. Once it says so it goes on saying so.
    fn given_up(&self, now: Instant) -> Option<GivenUp> {
        let _ = now;
        None
    }

    /// Parts of these sizes, which add up to the task's. Only called where the queue splits large tasks.
    fn split(self, sizes: &[usize]) -> Vec<Self>;
}

/// Why a task need not be run any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// Whoever wanted it gave up.
    Cancelled,
    /// Its deadline passed.
    Expired,
}
