//! Tasks that wait to be run together: which leave as one batch, and when.
//!
//! A [`Queue`] is a pure structure: the time is an argument, nothing here waits, and nothing runs a batch. Whoever drives
//! it asks [`Queue::ready`] when to come, and takes a batch with [`Queue::take`].
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use salver_batching_queue::{Level, Queue, QueueOptions, Ready, Task};
//!
//! struct Row(&'static str);
//!
//! impl Task for Row {
//!     type Key = ();
//!
//!     fn key(&self) {}
//!
//!     fn size(&self) -> usize {
//!         1
//!     }
//!
//!     fn split(self, _: &[usize]) -> Vec<Self> {
//!         vec![self]
//!     }
//! }
//!
//! let level = Level { batch_timeout: Duration::from_millis(2), ..Level::default() };
//! let mut queue = Queue::new(QueueOptions { levels: vec![level], ..QueueOptions::default() })?;
//! let now = Instant::now();
//! assert!(queue.push(Row("one"), now).is_ok());
//! assert!(queue.push(Row("two"), now).is_ok());
//! let later = now + Duration::from_millis(2);
//! assert_eq!(queue.ready(now), Ready::At(later));
//! assert_eq!(queue.take(later).batch.map(|batch| batch.rows), Some(2));
//! # Ok::<(), salver_core_status::Status>(())
//! ```

mod agenda;
mod batch;
mod check;
mod expiry;
mod form;
mod groups;
mod line;
mod options;
mod queue;
mod rules;
mod task;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Dropped, Taken};
pub use options::{BatchPadding, Level, PriorityMixing, QueueOptions, QueuePolicy, TimeoutAction, Tuning};
pub use queue::{Queue, Ready, Refused};
pub use task::{GivenUp, Task};
