//! Batches that are handed over when they open, and filled while they run.

use std::time::Duration;

/// The settings of a [`StreamingScheduler`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamingOptions {
    /// What its threads are called.
    pub name: String,
    /// How many threads there are, and so how many batches are open or running.
    pub threads: usize,
    /// The largest batch, in rows.
    pub max_batch_size: usize,
    /// A batch closes so long after it opened; `None` for only when it is full.
    pub batch_timeout: Option<Duration>,
}

/// Hands a batch to a thread when its first task arrives; it takes in tasks until it is full or its time has passed.
/// There is no queue: a task that finds all threads with closed batches is refused.
pub struct StreamingScheduler<T> {
    tasks: std::marker::PhantomData<fn(T)>,
}

/// The tasks of one batch, as they arrive.
pub struct BatchStream<T> {
    tasks: std::marker::PhantomData<T>,
}
