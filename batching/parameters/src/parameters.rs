//! What may be said.

use std::collections::BTreeMap;
use std::time::Duration;

use salver_batching_concat::PadValue;
use salver_batching_queue::{BatchPadding, PriorityMixing, TimeoutAction};

/// What may be said of batching; all of it may be left out. Names are TensorFlow Serving's where it has one, else Triton's.
///
/// Nothing here is checked: [`resolve`](Self::resolve) does that, when everybody has had their say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// How batches are formed; where it is not said [`Mode::LatencyTarget`] if there is a `latency_target`, else
    /// [`Mode::Fixed`].
    pub mode: Option<Mode>,
    /// The largest request, in rows; the largest batch too, unless large requests are split. 1 to 2147483647; 1000 where
    /// it is not said, or the last of `allowed_batch_sizes`.
    pub max_batch_size: Option<i64>,
    /// How long a batch that is not full waits; not at all where it is not said. More than a year is a year.
    pub batch_timeout: Option<Duration>,
    /// How many batches may wait, the one that is being filled counted; 10 where it is not said. 0 is 1, as in TensorFlow
    /// Serving, but is refused where large requests are split, of which none could wait.
    pub max_enqueued_batches: Option<i64>,
    /// How many threads run batches, 1 to 4096; the CPUs this process may use where it is not said.
    pub num_batch_threads: Option<i64>,
    /// What the pool of these threads is called; models that say the same share it, and must say the same of it. Where it is
    /// not said, `batch_threads`, with what else is said of the pool: `batch_threads_4` has four threads, and
    /// `adaptive_batch_threads` and `ranked_batch_threads` are for the mode and for `rank_queues`.
    pub thread_pool_name: Option<String>,
    /// Whether the batch with the highest priority runs first, and of those the one that waits longest, where several queues
    /// of a pool have one (TensorFlow's `rank_queues`); they take turns where it is not said.
    pub rank_queues: Option<bool>,
    /// The sizes that batches are padded to, ascending; the last is the largest batch. Empty for all sizes.
    pub allowed_batch_sizes: Option<Vec<i64>>,
    /// What becomes of a batch whose size is not allowed; it is padded up where it is not said.
    pub batch_padding_policy: Option<BatchPadding>,
    /// Whether requests of other shapes are padded to share batches. Said to be false, what to pad with does not count.
    pub pad_variable_length_inputs: Option<bool>,
    /// What with; each tensor's own first element where it is not said, as in TensorFlow Serving.
    pub padding_value: Option<PadValue>,
    /// Outputs whose dimensions are cut to those of an input before it was padded: output name to input name.
    pub unpad_outputs: Option<BTreeMap<String, String>>,
    /// Whether requests larger than `max_execution_batch_size` are split. Said to be false, `max_execution_batch_size` does
    /// not count.
    pub enable_large_batch_splitting: Option<bool>,
    /// The largest batch that is run, in rows; `max_batch_size` where it is not said, and never more.
    pub max_execution_batch_size: Option<i64>,
    /// With [`Mode::LatencyTarget`]: what 99 of 100 requests should take at most.
    pub latency_target: Option<Duration>,
    /// With [`Mode::Adaptive`]: how many batches run at once at first, 1 up to the threads; 3, or the threads where they are
    /// fewer, where it is not said.
    pub initial_in_flight_batches_limit: Option<f64>,
    /// With [`Mode::Adaptive`]: after how many batches that limit moves, 1 or more; 1000 where it is not said.
    pub batches_to_average_over: Option<i64>,
    /// Triton's `preferred_batch_size`: a batch that has one of these sizes leaves without waiting for more. In any order.
    pub preferred_batch_sizes: Option<Vec<i64>>,
    /// Whether answers leave in the order in which requests came.
    pub preserve_ordering: Option<bool>,
    /// How many levels of priority there are, at most 256, 1 the highest (Triton's `priority_levels`). Where it is not said,
    /// as many as are named in `levels` and `priority_queue_policy`.
    pub priority_levels: Option<i64>,
    /// The level, from 1, of a request that says none; 1 where it is not said.
    pub default_priority_level: Option<i64>,
    /// How requests of different levels share batches; [`PriorityMixing::PadToMax`] where it is not said.
    pub mixed_priority_batching_policy: Option<PriorityMixing>,
    /// Limits of the waiting on levels that have none of their own.
    pub default_queue_policy: Option<QueuePolicyParameters>,
    /// Limits of the waiting by level, from 1, each over the default.
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
