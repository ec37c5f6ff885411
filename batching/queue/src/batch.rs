//! What leaves a queue.

use std::time::{Duration, Instant};

use salver_core_status::Status;

/// Tasks that are to be run together.
#[derive(Debug)]
pub struct Batch<T> {
    /// The tasks, at least one, in the order in which their results are to be split off.
    pub tasks: Vec<T>,
    /// The rows of all tasks together.
    pub rows: usize,
    /// The rows to run, `rows` or more: what is between is padding.
    pub padded_rows: usize,
    /// Which batch of the queue it is, counted from 0.
    pub number: u64,
    /// When its first task was pushed.
    pub opened: Instant,
    /// How long its tasks have waited, added up.
    pub waited: Duration,
}

/// A task that left the queue without being run, and what to tell whoever wanted it.
#[derive(Debug)]
pub struct Dropped<T> {
    /// The task.
    pub task: T,
    /// CANCELLED, DEADLINE_EXCEEDED, or UNAVAILABLE where it waited longer than the queue's policy allows.
    pub status: Status,
}

/// What a look into a queue brought.
#[derive(Debug)]
pub struct Taken<T> {
    /// The batch that leaves; `None` where none was ready after all.
    pub batch: Option<Batch<T>>,
    /// Tasks that left without being run.
    pub dropped: Vec<Dropped<T>>,
}
