//! Any parameters, among them those that make no sense. Strategies are boxed as together they are more than a stack holds.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use salver_batching_concat::PadValue;
use salver_batching_queue::{BatchPadding, PriorityMixing, TimeoutAction};

use crate::{LevelParameters, Mode, Parameters, QueuePolicyParameters};

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Off), Just(Mode::Fixed), Just(Mode::Adaptive), Just(Mode::LatencyTarget)]
}

/// Mostly what makes sense, so that more than the first check is met.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 1_i64..10, 1 => -1_i64..3, 1 => any::<i64>()]
}

fn sizes() -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![vec(number(), 0..4), (1_i64..6).prop_map(|last| (1..=last).collect())]
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), (1_u64..5000).prop_map(Duration::from_micros)]
}

fn level() -> impl Strategy<Value = LevelParameters> {
    (of(number()), of(number()), of(time()), of(number()), of(sizes())).prop_map(
        |(max, execution, batch_timeout, max_enqueued_batches, allowed_batch_sizes)| LevelParameters {
            max_batch_size: max,
            max_execution_batch_size: execution,
            batch_timeout,
            max_enqueued_batches,
            allowed_batch_sizes,
        },
    )
}

fn policy() -> impl Strategy<Value = QueuePolicyParameters> {
    let action = prop_oneof![Just(TimeoutAction::Reject), Just(TimeoutAction::Delay)];
    (of(action), of(time()), of(any::<bool>()), of(number())).prop_map(
        |(timeout_action, default_timeout, allow_timeout_override, max_queue_size)| QueuePolicyParameters {
            timeout_action,
            default_timeout,
            allow_timeout_override,
            max_queue_size,
        },
    )
}

fn by_level<T: Strategy>(value: T) -> impl Strategy<Value = BTreeMap<u32, T::Value>>
where
    T::Value: std::fmt::Debug,
{
    btree_map(prop_oneof![30 => 1_u32..3, 1 => any::<u32>()], value, 0..3)
}

fn limit() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..4.0, Just(f64::INFINITY), Just(-1.0)]
}

prop_compose! {
    fn of_batches()(
        common in level().boxed(),
        mode in of(mode()),
        num_batch_threads in of(number()),
        thread_pool_name in of("[a-z\0]{0,2}"),
        rank_queues in of(any::<bool>()),
        batch_padding_policy in of(prop_oneof![
            Just(BatchPadding::PadUp),
            Just(BatchPadding::BatchDown),
            Just(BatchPadding::Disabled)
        ]),
        splits in of(any::<bool>()),
        latency_target in of(time()),
        initial_in_flight_batches_limit in of(limit()),
        batches_to_average_over in of(number()),
    ) -> Parameters {
        Parameters {
            mode,
            max_batch_size: common.max_batch_size,
            batch_timeout: common.batch_timeout,
            max_enqueued_batches: common.max_enqueued_batches,
            num_batch_threads,
            thread_pool_name,
            rank_queues,
            allowed_batch_sizes: common.allowed_batch_sizes,
            batch_padding_policy,
            enable_large_batch_splitting: splits,
            max_execution_batch_size: common.max_execution_batch_size,
            latency_target,
            initial_in_flight_batches_limit,
            batches_to_average_over,
            ..Parameters::default()
        }
    }
}

prop_compose! {
    pub(super) fn parameters()(
        batches in of_batches().boxed(),
        pad in of(any::<bool>()),
        padding_value in of(prop_oneof![Just(PadValue::Zero), limit().prop_map(PadValue::Number)]),
        unpad_outputs in of(btree_map("[a-c]", "[a-c]", 0..3)),
        preferred_batch_sizes in of(sizes()).boxed(),
        preserve_ordering in of(any::<bool>()),
        priority_levels in of(number()),
        default_priority_level in of(number()),
        mixing in of(prop_oneof![Just(PriorityMixing::Merge), Just(PriorityMixing::Isolate)]),
        default_queue_policy in of(policy()).boxed(),
        priority_queue_policy in of(by_level(policy().boxed()).boxed()),
        levels in of(by_level(level().boxed()).boxed()),
    ) -> Parameters {
        Parameters {
            pad_variable_length_inputs: pad,
            padding_value,
            unpad_outputs,
            preferred_batch_sizes,
            preserve_ordering,
            priority_levels,
            default_priority_level,
            mixed_priority_batching_policy: mixing,
            default_queue_policy,
            priority_queue_policy,
            levels,
            ..batches
        }
    }
}
