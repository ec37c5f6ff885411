//! One layer of parameters over another.

use std::collections::BTreeMap;

use crate::{LevelParameters, Parameters, QueuePolicyParameters};

impl Parameters {
    /// What is said here, and over it what `other` says: each field by itself, but for two that others hang on.
    ///
    /// Who says a `mode` says anew what belongs to it (`latency_target`, `initial_in_flight_batches_limit` and
    /// `batches_to_average_over`), and who says `priority_levels` says anew what is said of levels
    /// (`default_priority_level`, `priority_queue_policy` and `levels`): what was said here does not count then, so that a
    /// model can leave a mode that the server chose. Else levels are laid over one another by their number, and outputs
    /// to be cut by their name.
    ///
    /// `a.over(&b).over(&c)` is `a.over(&b.over(&c))`.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        let nothing = Self::default();
        let of_mode = if other.mode.is_some() { &nothing } else { self };
        let of_levels = if other.priority_levels.is_some() { &nothing } else { self };
        Self {
            mode: later(&self.mode, &other.mode),
            max_batch_size: later(&self.max_batch_size, &other.max_batch_size),
            batch_timeout: later(&self.batch_timeout, &other.batch_timeout),
            max_enqueued_batches: later(&self.max_enqueued_batches, &other.max_enqueued_batches),
            num_batch_threads: later(&self.num_batch_threads, &other.num_batch_threads),
            thread_pool_name: later(&self.thread_pool_name, &other.thread_pool_name),
            rank_queues: later(&self.rank_queues, &other.rank_queues),
            allowed_batch_sizes: later(&self.allowed_batch_sizes, &other.allowed_batch_sizes),
            batch_padding_policy: later(&self.batch_padding_policy, &other.batch_padding_policy),
            pad_variable_length_inputs: later(
                &self.pad_variable_length_inputs,
                &other.pad_variable_length_inputs,
            ),
            padding_value: later(&self.padding_value, &other.padding_value),
            unpad_outputs: by_key(&self.unpad_outputs, &other.unpad_outputs, |_, later| later.clone()),
            enable_large_batch_splitting: later(
                &self.enable_large_batch_splitting,
                &other.enable_large_batch_splitting,
            ),
            max_execution_batch_size: later(&self.max_execution_batch_size, &other.max_execution_batch_size),
            latency_target: later(&of_mode.latency_target, &other.latency_target),
            initial_in_flight_batches_limit: later(
                &of_mode.initial_in_flight_batches_limit,
                &other.initial_in_flight_batches_limit,
            ),
            batches_to_average_over: later(&of_mode.batches_to_average_over, &other.batches_to_average_over),
            preferred_batch_sizes: later(&self.preferred_batch_sizes, &other.preferred_batch_sizes),
            preserve_ordering: later(&self.preserve_ordering, &other.preserve_ordering),
            priority_levels: later(&self.priority_levels, &other.priority_levels),
            default_priority_level: later(&of_levels.default_priority_level, &other.default_priority_level),
            mixed_priority_batching_policy: later(
                &self.mixed_priority_batching_policy,
                &other.mixed_priority_batching_policy,
            ),
            default_queue_policy: both(
                &self.default_queue_policy,
                &other.default_queue_policy,
                QueuePolicyParameters::over,
            ),
            priority_queue_policy: by_key(
                &of_levels.priority_queue_policy,
                &other.priority_queue_policy,
                QueuePolicyParameters::over,
            ),
            levels: by_key(&of_levels.levels, &other.levels, LevelParameters::over),
        }
    }
}

impl LevelParameters {
    /// What is said here, and over it what `other` says.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self {
            max_batch_size: later(&self.max_batch_size, &other.max_batch_size),
            max_execution_batch_size: later(&self.max_execution_batch_size, &other.max_execution_batch_size),
            batch_timeout: later(&self.batch_timeout, &other.batch_timeout),
            max_enqueued_batches: later(&self.max_enqueued_batches, &other.max_enqueued_batches),
            allowed_batch_sizes: later(&self.allowed_batch_sizes, &other.allowed_batch_sizes),
        }
    }
}

impl QueuePolicyParameters {
    /// What is said here, and over it what `other` says.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self {
            timeout_action: later(&self.timeout_action, &other.timeout_action),
            default_timeout: later(&self.default_timeout, &other.default_timeout),
            allow_timeout_override: later(&self.allow_timeout_override, &other.allow_timeout_override),
            max_queue_size: later(&self.max_queue_size, &other.max_queue_size),
        }
    }
}

/// What was said last.
fn later<T: Clone>(earlier: &Option<T>, later: &Option<T>) -> Option<T> {
    later.as_ref().or(earlier.as_ref()).cloned()
}

/// What was said, and over it what was said last.
fn both<T: Clone>(earlier: &Option<T>, later: &Option<T>, over: impl Fn(&T, &T) -> T) -> Option<T> {
    match (earlier, later) {
        (Some(earlier), Some(later)) => Some(over(earlier, later)),
        (said, None) | (None, said) => said.clone(),
    }
}

/// The same by key.
fn by_key<K: Clone + Ord, V: Clone>(
    earlier: &Option<BTreeMap<K, V>>,
    later: &Option<BTreeMap<K, V>>,
    over: impl Fn(&V, &V) -> V,
) -> Option<BTreeMap<K, V>> {
    both(earlier, later, |earlier, later| {
        let mut merged = earlier.clone();
        for (key, value) in later {
            let value = earlier.get(key).map_or_else(|| value.clone(), |earlier| over(earlier, value));
            merged.insert(key.clone(), value);
        }
        merged
    })
}
