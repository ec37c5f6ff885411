//! Batch size and wait, found from a target for latency.

use std::time::{Duration, Instant};

use salver_core_status::Status;

/// The settings of a [`LatencyTarget`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyTargetOptions {
    /// What 99 of 100 requests should take at most, from being scheduled to being done.
    pub target: Duration,
    /// The largest batch that may be tried.
    pub max_batch_size: usize,
    /// The only sizes there are, ascending; empty for all.
    pub allowed_batch_sizes: Vec<usize>,
}

/// What a queue should do for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A batch of so many rows leaves at once.
    pub batch_size: usize,
    /// A batch leaves when its first task has waited so long.
    pub wait: Duration,
}

/// Finds the batch size and the wait that bring most through within a target for latency.
#[derive(Clone, Debug)]
pub struct LatencyTarget {
    options: LatencyTargetOptions,
}

impl LatencyTarget {
    /// Begins with nothing known.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option.
    pub fn new(options: LatencyTargetOptions) -> Result<Self, Status> {
        Ok(Self { options })
    }

    /// Takes in that a task of `rows` rows arrived.
    pub fn arrived(&mut self, rows: usize, now: Instant) {
        let _ = (rows, now);
    }

    /// Takes in one run of `rows` rows that took `took`, whose first task had waited `waited` before; `left` rows were
    /// waiting when it left.
    pub fn ran(&mut self, rows: usize, took: Duration, waited: Duration, left: usize, now: Instant) {
        let _ = (rows, took, waited, left, now);
    }

    /// What the queue should do for now.
    pub fn limits(&self) -> Limits {
        Limits { batch_size: self.options.max_batch_size, wait: Duration::ZERO }
    }
}
