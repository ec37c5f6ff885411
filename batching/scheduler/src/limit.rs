//! How many batches run at once.

use std::time::Duration;

use salver_batching_tune::InFlightLimit;
use salver_core_status::Status;

use crate::{InFlight, PoolOptions};

/// How many batches run at once: a constant, or what is found.
pub(crate) struct Limit {
    threads: usize,
    adaptive: Option<InFlightLimit>,
    now: usize,
    random: u64,
}

impl Limit {
    /// # Errors
    /// Those of [`InFlightLimit::new`].
    pub(crate) fn new(options: &PoolOptions) -> Result<Self, Status> {
        let adaptive = match &options.in_flight {
            InFlight::Threads => None,
            InFlight::Adaptive(options) => Some(InFlightLimit::new(options.clone())?),
        };
        // Any odd number will do: the same each time, so that a run can be repeated.
        let mut limit =
            Self { threads: options.threads, adaptive, now: options.threads, random: 0x9E37_79B9 };
        limit.draw();
        Ok(limit)
    }

    /// How many batches may run at once now; 1 or more.
    pub(crate) fn now(&self) -> usize {
        self.now
    }

    /// Whether batches leave as soon as one may run.
    pub(crate) fn is_adaptive(&self) -> bool {
        self.adaptive.is_some()
    }

    /// Takes in how long the tasks of a batch took on average, from being scheduled to being done.
    pub(crate) fn note(&mut self, latency: Duration) {
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.note(latency);
            self.draw();
        }
    }

    /// Decides a fraction once for each batch: asked at each task it would come out as the greater number nearly always.
    fn draw(&mut self) {
        if let Some(adaptive) = &self.adaptive {
            // Marsaglia, "Xorshift RNGs", 2003.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let roll = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
            self.now = adaptive.limit(roll).clamp(1, self.threads);
        }
    }
}
