//! How a version's requests are run together, by the names of the parameters that say so.

use std::collections::BTreeMap;
use std::time::Duration;

use salver_batching_queue::{Level, Tuning};
use salver_server_inference::{BatchingStatus, NotBatched, SignatureStatus};
use serde::Serialize;

/// What is in effect, what was found, and what waits now.
#[derive(Serialize)]
pub(crate) struct BatchingDocument {
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_target_micros: Option<u128>,
    thread_pool_name: String,
    num_batch_threads: usize,
    rank_queues: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<InFlightDocument>,
    batch_padding_policy: String,
    pad_variable_length_inputs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding_value: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unpad_outputs: BTreeMap<String, String>,
    enable_large_batch_splitting: bool,
    preserve_ordering: bool,
    default_priority_level: usize,
    mixed_priority_batching_policy: String,
    /// By priority, the highest first.
    levels: Vec<LevelDocument>,
    signatures: Vec<SignatureDocument>,
}

/// Where it is found how many batches run at once.
#[derive(Serialize)]
struct InFlightDocument {
    initial_in_flight_batches_limit: f64,
    batches_to_average_over: usize,
    /// What was found, and is in effect now.
    limit: usize,
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
    allow_timeout_override: bool,
    timeout_action: String,
}

#[derive(Serialize)]
struct SignatureDocument {
    name: String,
    batched: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    waiting: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<FoundDocument>,
}

/// What was found for a latency target, and is in effect now.
#[derive(Serialize)]
struct FoundDocument {
    batch_size: usize,
    /// From the end of a run; 0 where nothing is held back.
    wait_micros: u128,
}

impl From<BatchingStatus> for BatchingDocument {
    fn from(status: BatchingStatus) -> Self {
        let mode = status.options.mode().to_string();
        let (pool, queue) = (status.options.pool, status.options.queue);
        let latency_target_micros = match queue.tuning {
            Tuning::Fixed => None,
            Tuning::LatencyTarget(target) => Some(target.target.as_micros()),
        };
        let in_flight = pool.in_flight.adaptive().map(|adaptive| InFlightDocument {
            initial_in_flight_batches_limit: adaptive.initial_limit,
            batches_to_average_over: adaptive.batches_to_average_over,
            limit: status.in_flight_limit,
        });
        let padding = status.options.padding;
        Self {
            mode,
            latency_target_micros,
            thread_pool_name: pool.name,
            num_batch_threads: pool.threads,
            rank_queues: pool.order.is_ranked(),
            in_flight,
            batch_padding_policy: queue.padding.to_string(),
            pad_variable_length_inputs: padding.is_some(),
            padding_value: padding.as_ref().map(|padding| padding.value.to_string()),
            unpad_outputs: padding.map(|padding| padding.unpad).unwrap_or_default(),
            enable_large_batch_splitting: queue.enable_large_batch_splitting,
            preserve_ordering: status.options.preserve_ordering,
            default_priority_level: queue.default_level.saturating_add(1),
            mixed_priority_batching_policy: queue.mixing.to_string(),
            levels: queue.levels.into_iter().map(LevelDocument::from).collect(),
            signatures: status.signatures.into_iter().map(SignatureDocument::from).collect(),
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
            allow_timeout_override: policy.allow_timeout_override,
            timeout_action: policy.timeout_action.to_string(),
        }
    }
}

impl From<SignatureStatus> for SignatureDocument {
    fn from(signature: SignatureStatus) -> Self {
        Self {
            name: signature.name,
            batched: signature.not_batched.is_none(),
            reason: signature.not_batched.map(|NotBatched(reason)| reason),
            waiting: signature.waiting,
            found: signature.found.map(|found| FoundDocument {
                batch_size: found.batch_size,
                wait_micros: found.wait.as_micros(),
            }),
        }
    }
}
