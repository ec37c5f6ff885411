//! How a version's requests are run together, by the names of the parameters that say so.

use std::time::Duration;

use salver_batching_queue::{Level, TimeoutAction, Tuning};
use salver_server_inference::{BatchingStatus, NotBatched};
use serde::Serialize;

/// What is in effect, and what waits now.
#[derive(Serialize)]
pub(crate) struct BatchingDocument {
    thread_pool_name: String,
    num_batch_threads: usize,
    /// By priority, the highest first.
    levels: Vec<LevelDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_target_micros: Option<u128>,
    enable_large_batch_splitting: bool,
    pad_variable_length_inputs: bool,
    preserve_ordering: bool,
    signatures: Vec<SignatureDocument>,
}

#[derive(Serialize)]
struct LevelDocument {
    max_batch_size: usize,
    max_execution_batch_size: usize,
    batch_timeout_micros: u128,
    max_enqueued_batches: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_batch_sizes: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    preferred_batch_sizes: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_queue_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_timeout_micros: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_action: Option<&'static str>,
}

#[derive(Serialize)]
struct SignatureDocument {
    name: String,
    batched: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    waiting: usize,
}

impl From<BatchingStatus> for BatchingDocument {
    fn from(status: BatchingStatus) -> Self {
        let options = status.options;
        let latency_target_micros = match options.queue.tuning {
            Tuning::Fixed => None,
            Tuning::LatencyTarget(target) => Some(target.target.as_micros()),
        };
        let signatures = status.signatures.into_iter().map(|signature| SignatureDocument {
            name: signature.name,
            batched: signature.not_batched.is_none(),
            reason: signature.not_batched.map(|NotBatched(reason)| reason),
            waiting: signature.waiting,
        });
        Self {
            thread_pool_name: options.pool.name,
            num_batch_threads: options.pool.threads,
            levels: options.queue.levels.into_iter().map(LevelDocument::from).collect(),
            latency_target_micros,
            enable_large_batch_splitting: options.queue.enable_large_batch_splitting,
            pad_variable_length_inputs: options.padding.is_some(),
            preserve_ordering: options.preserve_ordering,
            signatures: signatures.collect(),
        }
    }
}

impl From<Level> for LevelDocument {
    fn from(level: Level) -> Self {
        let policy = level.policy;
        Self {
            max_batch_size: level.max_batch_size,
            max_execution_batch_size: level.max_execution_batch_size,
            batch_timeout_micros: level.batch_timeout.as_micros(),
            max_enqueued_batches: level.max_enqueued_batches,
            allowed_batch_sizes: level.allowed_batch_sizes,
            preferred_batch_sizes: level.preferred_batch_sizes,
            max_queue_size: policy.max_queue_size,
            default_timeout_micros: policy.default_timeout.as_ref().map(Duration::as_micros),
            timeout_action: policy.default_timeout.map(|_| match policy.timeout_action {
                TimeoutAction::Reject => "reject",
                TimeoutAction::Delay => "delay",
            }),
        }
    }
}
