//! The settings of a pool.

use salver_batching_tune::AdaptiveOptions;

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
