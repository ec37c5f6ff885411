//! Threads that take batches from many queues in turn, and run them.
//!
//! A [`Scheduler`] is a pool of threads for one device. Any number of queues share it: they come and go while it runs,
//! each batch is of one queue, and queues take turns. Nothing polls: a thread wakes when a batch is ready, and at the time
//! at which one will be.

mod basic;
mod core;
mod crew;
mod limit;
mod options;
mod pool;
mod scheduler;
mod streaming;
mod sync;

pub use basic::BasicScheduler;
pub use options::{InFlight, PoolOptions, QueueOrder};
pub use scheduler::{Consumer, QueueHandle, Scheduler};
pub use streaming::{BatchStream, StreamingOptions, StreamingScheduler};

#[cfg(not(loom))]
#[cfg(test)]
mod tests;

#[cfg(loom)]
#[cfg(test)]
mod models;
