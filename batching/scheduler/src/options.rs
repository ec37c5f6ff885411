//! The settings of a pool.

use salver_batching_tune::{AdaptiveOptions, InFlightLimit};
use salver_core_status::Status;

/// The settings of a pool of threads that run batches.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolOptions {
    /// What its threads are called (`thread_pool_name`).
    pub name: String,
    /// How many threads there are (`num_batch_threads`), 1 or more.
    pub threads: usize,
    /// Which queue's batch is taken when several are ready.
    pub order: QueueOrder,
    /// How many batches run at once.
    pub in_flight: InFlight,
}

/// Which queue's batch is taken when several are ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueOrder {
    /// Queues take turns.
    #[default]
    RoundRobin,
    /// The one with the highest level, then the one that waits longest (TensorFlow's `rank_queues`).
    Ranked,
}

/// How many batches run at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum InFlight {
    /// As many as there are threads.
    #[default]
    Threads,
    /// As many as is found to bring the lowest latency; queues do not wait for their time-out then.
    Adaptive(AdaptiveOptions),
}

impl QueueOrder {
    /// Whether it goes by rank (`rank_queues`).
    pub fn is_ranked(self) -> bool {
        self == Self::Ranked
    }
}

impl InFlight {
    /// How the limit is found, where it is.
    pub fn adaptive(&self) -> Option<&AdaptiveOptions> {
        match self {
            Self::Threads => None,
            Self::Adaptive(options) => Some(options),
        }
    }
}

/// More threads than this are a mistake: each may hold a batch.
const MAX_THREADS: usize = 4096;

impl PoolOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option, what it is and what was wanted.
    pub fn check(&self) -> Result<(), Status> {
        check_threads(&self.name, self.threads)?;
        if let InFlight::Adaptive(adaptive) = &self.in_flight {
            InFlightLimit::new(adaptive.clone())?;
            if adaptive.max_limit > self.threads as f64 {
                return Err(Status::invalid_argument(format!(
                    "in_flight.max_limit is {}, at most num_batch_threads ({}) was wanted",
                    adaptive.max_limit, self.threads
                )));
            }
        }
        Ok(())
    }
}

/// What the operating system would refuse, or nobody means.
pub(crate) fn check_threads(name: &str, threads: usize) -> Result<(), Status> {
    if !(1..=MAX_THREADS).contains(&threads) {
        return Err(Status::invalid_argument(format!(
            "num_batch_threads is {threads}, 1 to {MAX_THREADS} was wanted"
        )));
    }
    if name.contains('\0') {
        return Err(Status::invalid_argument(
            "thread_pool_name contains a NUL, a name that a thread can have was wanted",
        ));
    }
    Ok(())
}
