//! What is filled in, and what is refused.

use std::time::Duration;

use proptest::prelude::*;
use salver_batching_concat::PadValue;
use salver_batching_queue::{PriorityMixing, QueueOptions, QueuePolicy, TimeoutAction, Tuning};
use salver_batching_scheduler::{InFlight, QueueOrder};
use salver_core_status::Code;

use super::arbitrary::parameters as any_parameters;
use super::{parameters, resolved};
use crate::{Mode, Parameters};

#[test]
fn who_says_nothing_gets_tensorflow_serving_s_defaults() {
    let options = Parameters::default().resolve().unwrap().unwrap();
    assert_eq!(options.queue, QueueOptions::default());
    assert_eq!((options.pool.name.as_str(), options.pool.order), ("batch_threads", QueueOrder::RoundRobin));
    assert_eq!(options.pool.threads, std::thread::available_parallelism().unwrap().get());
    assert_eq!(
        (options.pool.in_flight, options.padding, options.preserve_ordering),
        (InFlight::Threads, None, false)
    );
}

#[test]
fn the_mode_is_that_which_was_said_or_follows() {
    for (text, mode) in [
        ("", Mode::Fixed),
        ("mode = fixed", Mode::Fixed),
        ("mode = adaptive", Mode::Adaptive),
        ("latency_target = 5ms", Mode::LatencyTarget),
    ] {
        assert_eq!(resolved(text).mode(), mode, "{text}");
    }
}

#[test]
fn off_is_off_whatever_else_is_said() {
    assert_eq!(parameters("mode = off").resolve(), Ok(None));
    assert_eq!(parameters("mode = off; latency_target = 1ms; max_batch_size = -1").resolve(), Ok(None));
}

#[test]
fn sizes_and_limits_are_those_that_are_said() {
    let options = resolved(
        "max_batch_size = 64; batch_timeout_micros = 500; max_enqueued_batches = 7; num_batch_threads = 3; \
         thread_pool_name = gpu; rank_queues = true; allowed_batch_sizes = 1,8,32; preferred_batch_sizes = 16,8,8; \
         enable_large_batch_splitting = true; max_execution_batch_size = 32; preserve_ordering = true; \
         default_queue_policy.max_queue_size = 5",
    );
    let [level] = options.queue.levels.as_slice() else { panic!("{options:?}") };
    assert_eq!((level.max_batch_size, level.max_execution_batch_size), (64, 32));
    assert_eq!((level.batch_timeout, level.max_enqueued_batches), (Duration::from_micros(500), 7));
    assert_eq!(
        (&level.allowed_batch_sizes[..], &level.preferred_batch_sizes[..]),
        (&[1, 8, 32][..], &[8, 16][..])
    );
    assert_eq!(level.policy, QueuePolicy { max_queue_size: Some(5), ..QueuePolicy::default() });
    assert_eq!((options.pool.name.as_str(), options.pool.threads), ("gpu", 3));
    assert_eq!((options.pool.order, options.preserve_ordering), (QueueOrder::Ranked, true));
}

#[test]
fn the_largest_batch_is_the_largest_request_or_the_last_allowed_size() {
    for (text, sizes) in [
        ("max_batch_size = 8", (8, 8)),
        ("max_batch_size = 8; max_execution_batch_size = 8", (8, 8)),
        ("max_batch_size = 8; enable_large_batch_splitting = true", (8, 8)),
        ("enable_large_batch_splitting = true", (1000, 1000)),
        ("enable_large_batch_splitting = true; max_execution_batch_size = 8", (1000, 8)),
        ("allowed_batch_sizes = 2,4", (4, 4)),
        (
            "allowed_batch_sizes = 2,4; max_execution_batch_size = 4; enable_large_batch_splitting = true",
            (1000, 4),
        ),
    ] {
        let level = resolved(text).queue.levels.remove(0);
        assert_eq!((level.max_batch_size, level.max_execution_batch_size), sizes, "{text}");
    }
}

#[test]
fn none_waiting_is_one_and_zero_of_triton_s_is_no_limit() {
    let level = resolved("max_enqueued_batches = 0").queue.levels.remove(0);
    assert_eq!(level.max_enqueued_batches, 1);
    let none = "default_queue_policy.max_queue_size = 0; default_queue_policy.default_timeout_microseconds = 0; \
                priority_levels = 0; allowed_batch_sizes = ";
    assert_eq!(resolved(none), resolved(""));
}

#[test]
fn nobody_waits_longer_than_a_year() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let said = Parameters { batch_timeout: Some(Duration::MAX), ..Parameters::default() };
    assert_eq!(said.resolve().unwrap().unwrap().queue.levels[0].batch_timeout, year);
    let said = Parameters { latency_target: Some(Duration::MAX), ..Parameters::default() };
    let Tuning::LatencyTarget(options) = said.resolve().unwrap().unwrap().queue.tuning else { panic!() };
    assert_eq!(options.target, year);
}

#[test]
fn a_latency_target_is_met_within_the_sizes_there_are() {
    let options = resolved("latency_target = 20ms; allowed_batch_sizes = 1,4,16");
    let Tuning::LatencyTarget(tuning) = options.queue.tuning else { panic!("{options:?}") };
    assert_eq!((tuning.target, tuning.max_batch_size), (Duration::from_millis(20), 16));
    assert_eq!(tuning.allowed_batch_sizes, [1, 4, 16]);
    let options =
        resolved("latency_target = 20ms; allowed_batch_sizes = 1,4,16; batch_padding_policy = disabled");
    let Tuning::LatencyTarget(tuning) = options.queue.tuning else { panic!("{options:?}") };
    assert!(tuning.allowed_batch_sizes.is_empty(), "{tuning:?}");
}

#[test]
fn pools_that_are_not_alike_have_other_names_unless_they_are_named() {
    for (text, name) in [
        ("", "batch_threads"),
        ("latency_target = 5ms", "batch_threads"),
        ("num_batch_threads = 4", "batch_threads_4"),
        ("rank_queues = true", "ranked_batch_threads"),
        ("mode = adaptive; num_batch_threads = 4; rank_queues = true", "adaptive_ranked_batch_threads_4"),
        ("num_batch_threads = 4; thread_pool_name = mine", "mine"),
    ] {
        assert_eq!(resolved(text).pool.name, name, "{text}");
    }
}

#[test]
fn the_limit_of_batches_in_flight_is_within_the_threads() {
    let limits = |text: &str| match resolved(text).pool.in_flight {
        InFlight::Adaptive(options) => {
            (options.max_limit, options.initial_limit, options.batches_to_average_over)
        }
        InFlight::Threads => panic!("{text}"),
    };
    assert_eq!(limits("mode = adaptive; num_batch_threads = 8"), (8.0, 3.0, 1000));
    assert_eq!(limits("mode = adaptive; num_batch_threads = 2"), (2.0, 2.0, 1000));
    let said = "mode = adaptive; num_batch_threads = 8; initial_in_flight_batches_limit = 5; batches_to_average_over = 9";
    assert_eq!(limits(said), (8.0, 5.0, 9));
}

#[test]
fn each_level_has_what_is_said_of_it_over_what_is_said_of_all() {
    let options = resolved(
        "max_batch_size = 32; batch_timeout = 1ms; priority_levels = 3; default_priority_level = 2; \
         mixed_priority_batching_policy = merge; levels.3.batch_timeout = 9ms; levels.2.max_batch_size = 8; \
         default_queue_policy.timeout_action = delay; default_queue_policy.max_queue_size = 4; \
         priority_queue_policy.3.default_timeout = 5ms",
    );
    let levels = &options.queue.levels;
    assert_eq!(
        (levels.len(), options.queue.default_level, options.queue.mixing),
        (3, 1, PriorityMixing::Merge)
    );
    let timeouts: Vec<_> = levels.iter().map(|level| level.batch_timeout.as_millis()).collect();
    let sizes: Vec<_> = levels.iter().map(|level| level.max_batch_size).collect();
    assert_eq!((timeouts, sizes), (vec![1, 1, 9], vec![32, 8, 32]));
    let common = QueuePolicy {
        timeout_action: TimeoutAction::Delay,
        max_queue_size: Some(4),
        ..QueuePolicy::default()
    };
    let third = QueuePolicy { default_timeout: Some(Duration::from_millis(5)), ..common.clone() };
    assert_eq!((&levels[0].policy, &levels[2].policy), (&common, &third));
}

#[test]
fn there_are_as_many_levels_as_are_named() {
    assert_eq!(resolved("low_priority_queue_options.max_batch_size = 10").queue.levels.len(), 2);
    assert_eq!(resolved("priority_queue_policy.4.max_queue_size = 10").queue.levels.len(), 4);
}

#[test]
fn padding_has_a_value_and_outputs_to_cut() {
    let padding = |text: &str| resolved(text).padding;
    let plain = padding("pad_variable_length_inputs = true").unwrap();
    assert_eq!((plain.value, plain.unpad.len()), (PadValue::FirstElement, 0));
    let said =
        padding("pad_variable_length_inputs = true; padding_value = zero; unpad_outputs.y = x").unwrap();
    assert_eq!((said.value, &said.unpad["y"][..]), (PadValue::Zero, "x"));
}

#[test]
fn what_does_not_go_together_is_refused_with_field_found_and_wanted() {
    for (text, message) in [
        ("max_batch_size = 0", "max_batch_size is 0, 1 to 2147483647 was wanted"),
        ("max_batch_size = -1", "max_batch_size is -1, 1 to 2147483647 was wanted"),
        ("max_batch_size = 9999999999", "max_batch_size is 9999999999, 1 to 2147483647 was wanted"),
        ("max_enqueued_batches = -1", "max_enqueued_batches is -1, 0 or more was wanted"),
        ("num_batch_threads = 0", "num_batch_threads is 0, 1 to 2147483647 was wanted"),
        ("num_batch_threads = 5000", "num_batch_threads is 5000, 1 to 4096 was wanted"),
        ("thread_pool_name = \"\"", "thread_pool_name is empty, a name was wanted"),
        (
            "max_batch_size = 8; allowed_batch_sizes = 2,4",
            "allowed_batch_sizes ends with 4, max_batch_size (8) was wanted",
        ),
        (
            "max_batch_size = 8; allowed_batch_sizes = 2,16",
            "allowed_batch_sizes ends with 16, max_batch_size (8) was wanted",
        ),
        (
            "max_batch_size = 8; enable_large_batch_splitting = true; max_execution_batch_size = 4; allowed_batch_sizes = 8",
            "allowed_batch_sizes ends with 8, max_execution_batch_size (4) was wanted",
        ),
        (
            "max_batch_size = 4; allowed_batch_sizes = 2,1,4",
            "allowed_batch_sizes has 1 after 2, ascending sizes were wanted",
        ),
        ("allowed_batch_sizes = 2,2", "allowed_batch_sizes has 2 after 2, ascending sizes were wanted"),
        ("allowed_batch_sizes = 0,2", "allowed_batch_sizes is 0, 1 to 2147483647 was wanted"),
        (
            "enable_large_batch_splitting = true; max_batch_size = 4; max_execution_batch_size = 8",
            "max_execution_batch_size is 8, at most max_batch_size (4) was wanted",
        ),
        (
            "max_batch_size = 8; max_execution_batch_size = 4",
            "max_execution_batch_size is 4 and max_batch_size 8, the same was wanted where \
             enable_large_batch_splitting is not said",
        ),
        (
            "enable_large_batch_splitting = true; max_enqueued_batches = 0",
            "max_enqueued_batches is 0, 1 or more was wanted as enable_large_batch_splitting is true",
        ),
        ("mode = latency_target", "latency_target is missing, a time was wanted as mode is latency_target"),
        ("latency_target = 0", "latency_target is 0, a time was wanted as mode is latency_target"),
        (
            "mode = fixed; latency_target = 1ms",
            "latency_target is said and mode is fixed, latency_target was wanted",
        ),
        (
            "batches_to_average_over = 5",
            "batches_to_average_over is said and mode is fixed, adaptive was wanted",
        ),
        (
            "mode = adaptive; num_batch_threads = 2; initial_in_flight_batches_limit = 2.5",
            "initial_in_flight_batches_limit is 2.5, 1 to num_batch_threads (2) was wanted",
        ),
        (
            "mode = adaptive; batches_to_average_over = 0",
            "batches_to_average_over is 0, 1 to 2147483647 was wanted",
        ),
        (
            "max_batch_size = 8; preferred_batch_sizes = 4,16",
            "preferred_batch_sizes has 16, at most the largest batch (8) was wanted",
        ),
        ("padding_value = 0", "padding_value is said and pad_variable_length_inputs is not, true was wanted"),
        (
            "unpad_outputs.y = x",
            "unpad_outputs is said and pad_variable_length_inputs is not, true was wanted",
        ),
        ("priority_levels = -1", "priority_levels is -1, 1 to 2147483647 was wanted"),
        ("priority_levels = 257", "priority_levels is 257, at most 256 was wanted"),
        (
            "priority_levels = 2; default_priority_level = 3",
            "default_priority_level is 3, 1 to priority_levels (2) was wanted",
        ),
        (
            "priority_levels = 2; default_priority_level = 0",
            "default_priority_level is 0, 1 to priority_levels (2) was wanted",
        ),
        (
            "priority_levels = 2; levels.3.max_batch_size = 1",
            "levels has level 3, 1 to priority_levels (2) was wanted",
        ),
        (
            "priority_queue_policy.0.max_queue_size = 1",
            "priority_queue_policy has level 0, 1 to priority_levels (1) was wanted",
        ),
        ("levels.999.max_batch_size = 1", "levels has level 999, 1 to priority_levels (256) was wanted"),
        ("levels.2.max_batch_size = 0", "levels.2: max_batch_size is 0, 1 to 2147483647 was wanted"),
        (
            "default_queue_policy.max_queue_size = -1",
            "default_queue_policy: max_queue_size is -1, 0 or more was wanted",
        ),
        (
            "priority_queue_policy.1.max_queue_size = -1",
            "priority_queue_policy.1: max_queue_size is -1, 0 or more was wanted",
        ),
    ] {
        let status = parameters(text).resolve().unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, message), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_said_is_resolved_or_refused(said in any_parameters()) {
        match said.resolve() {
            Ok(Some(options)) => {
                prop_assert!(options.queue.check().is_ok() && options.pool.check().is_ok());
                for level in &options.queue.levels {
                    let last = level.allowed_batch_sizes.last();
                    prop_assert!(last.is_none_or(|last| *last == level.max_execution_batch_size));
                    prop_assert!(level.max_execution_batch_size <= level.max_batch_size);
                }
            }
            Ok(None) => prop_assert_eq!(said.mode, Some(Mode::Off)),
            Err(status) => prop_assert_eq!(status.code(), Code::InvalidArgument),
        }
    }
}
