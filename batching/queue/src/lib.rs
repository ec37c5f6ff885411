//! Tasks that wait to be run together: which leave as one batch, and when.
//!
//! A [`Queue`] is a pure structure: the time is an argument, nothing here waits, and nothing runs a batch. Whoever drives
//! it asks [`Queue::ready`] when to come, and takes a batch with [`Queue::take`].

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
