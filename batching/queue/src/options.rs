//! How a queue forms batches. The names are TensorFlow Serving's where it has one.

use std::fmt;
use std::time::Duration;

use salver_batching_tune::LatencyTargetOptions;

/// How a queue forms batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// The levels of priority, the highest first; at least one.
    pub levels: Vec<Level>,
    /// The level of a task that says none.
    pub default_level: usize,
    /// How tasks of different levels share batches.
    pub mixing: PriorityMixing,
    /// Whether tasks are split: one that does not fit the open batch fills it up, and the rest of it waits in the next
    /// ones. So a task may be larger than `max_execution_batch_size`.
    pub enable_large_batch_splitting: bool,
    /// What becomes of a batch whose size is not allowed.
    pub padding: BatchPadding,
    /// Who sets size and wait.
    pub tuning: Tuning,
}

/// One level of priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The largest task, in rows (`max_batch_size`; TensorFlow's `input_batch_size_limit`).
    pub max_batch_size: usize,
    /// The largest batch that is run; `max_batch_size` unless large tasks are split.
    pub max_execution_batch_size: usize,
    /// A batch that is not full leaves when its first task has waited so long.
    pub batch_timeout: Duration,
    /// How many batches may wait, the one that is being filled counted, of all keys together. 0 is taken for 1.
    pub max_enqueued_batches: usize,
    /// The only sizes that a batch is run with, ascending; empty for all. The last is `max_execution_batch_size`.
    pub allowed_batch_sizes: Vec<usize>,
    /// A batch that has one of these sizes leaves without waiting for more (Triton's `preferred_batch_size`), ascending.
    pub preferred_batch_sizes: Vec<usize>,
    /// Limits of the waiting (Triton's `ModelQueuePolicy`).
    pub policy: QueuePolicy,
}

/// Limits of the waiting on one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePolicy {
    /// How many tasks may wait; `None` for as many as `max_enqueued_batches` lets.
    pub max_queue_size: Option<usize>,
    /// How long a task may wait; `None` for as long as it takes.
    pub default_timeout: Option<Duration>,
    /// Whether a task may say that it waits less than that.
    pub allow_timeout_override: bool,
    /// What becomes of a task that waited too long.
    pub timeout_action: TimeoutAction,
}

/// What becomes of a task that waited too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeoutAction {
    /// It is dropped with UNAVAILABLE, `Request timeout expired`.
    #[default]
    Reject,
    /// It is run after all that have time left.
    Delay,
}

/// How tasks of different levels share batches: TensorFlow's `mixed_priority_batching_policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PriorityMixing {
    /// A batch that leaves is filled with lower tasks up to its level's largest size.
    #[default]
    PadToMax,
    /// A batch that leaves is filled with lower tasks in place of padding.
    PadToNextAllowed,
    /// Batches are of one level.
    Isolate,
    /// Batches are filled with whatever waits, the highest level first (Triton's way).
    Merge,
}

/// What becomes of a batch whose size is not allowed: TensorFlow's `batch_padding_policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchPadding {
    /// It is padded up to the next size that is.
    #[default]
    PadUp,
    /// It leaves with fewer tasks, at the size below, where tasks can be left behind; the others wait on.
    BatchDown,
    /// Whichever of the two is measured to cost less for each row (`MINIMIZE_TPU_COST_PER_REQUEST`).
    MinimizeCostPerRequest,
    /// It is run as it is.
    Disabled,
}

/// Who sets size and wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tuning {
    /// The options do.
    #[default]
    Fixed,
    /// They are found; those of the options are upper bounds, and `batch_timeout` does not count.
    LatencyTarget(LatencyTargetOptions),
}

/// As it is written in settings.
impl fmt::Display for TimeoutAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reject => "reject",
            Self::Delay => "delay",
        })
    }
}

/// As it is written in settings.
impl fmt::Display for PriorityMixing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PadToMax => "pad_to_max",
            Self::PadToNextAllowed => "pad_to_next_allowed",
            Self::Isolate => "isolate",
            Self::Merge => "merge",
        })
    }
}

/// As it is written in settings.
impl fmt::Display for BatchPadding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PadUp => "pad_up",
            Self::BatchDown => "batch_down",
            Self::MinimizeCostPerRequest => "minimize_cost_per_request",
            Self::Disabled => "disabled",
        })
    }
}

/// TensorFlow Serving's defaults: 1000 rows, no wait, 10 batches.
impl Default for Level {
    fn default() -> Self {
        Self {
            max_batch_size: 1000,
            max_execution_batch_size: 1000,
            batch_timeout: Duration::ZERO,
            max_enqueued_batches: 10,
            allowed_batch_sizes: Vec::new(),
            preferred_batch_sizes: Vec::new(),
            policy: QueuePolicy::default(),
        }
    }
}

impl Default for QueuePolicy {
    fn default() -> Self {
        Self {
            max_queue_size: None,
            default_timeout: None,
            allow_timeout_override: false,
            timeout_action: TimeoutAction::Reject,
        }
    }
}

/// One level of the defaults.
impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            levels: vec![Level::default()],
            default_level: 0,
            mixing: PriorityMixing::default(),
            enable_large_batch_splitting: false,
            padding: BatchPadding::default(),
            tuning: Tuning::default(),
        }
    }
}
