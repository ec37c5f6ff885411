//! Parameters said by name.

use std::time::Duration;

use proptest::prelude::*;
use salver_batching_concat::PadValue;
use salver_batching_queue::{BatchPadding, PriorityMixing, TimeoutAction};
use salver_core_platform::{OptionValue, Options};
use salver_core_status::Code;

use super::{parameters, written};
use crate::{LevelParameters, Mode, Parameters, QueuePolicyParameters};

#[test]
fn every_field_is_said_by_its_name() {
    let said = parameters(
        "mode = adaptive; max_batch_size = 64; batch_timeout = 2ms; max_enqueued_batches = 100; num_batch_threads = 4; \
         thread_pool_name = pool; rank_queues = true; allowed_batch_sizes = 1, 8,64; batch_padding_policy = batch_down; \
         pad_variable_length_inputs = true; padding_value = -1.5; unpad_outputs.scores.0 = tokens; \
         enable_large_batch_splitting = true; max_execution_batch_size = 32; initial_in_flight_batches_limit = 2; \
         batches_to_average_over = 10; preferred_batch_sizes = 8; preserve_ordering = true; priority_levels = 2; \
         default_priority_level = 2; mixed_priority_batching_policy = merge; \
         default_queue_policy.timeout_action = DELAY; default_queue_policy.default_timeout = 1s; \
         priority_queue_policy.2.allow_timeout_override = true; priority_queue_policy.2.max_queue_size = 7; \
         levels.2.max_batch_size = 16; levels.2.max_execution_batch_size = 8; levels.2.batch_timeout = 1ms; \
         levels.2.max_enqueued_batches = 3; levels.2.allowed_batch_sizes = 8",
    );
    let default_queue_policy = QueuePolicyParameters {
        timeout_action: Some(TimeoutAction::Delay),
        default_timeout: Some(Duration::from_secs(1)),
        ..QueuePolicyParameters::default()
    };
    let second_policy = QueuePolicyParameters {
        allow_timeout_override: Some(true),
        max_queue_size: Some(7),
        ..QueuePolicyParameters::default()
    };
    let second_level = LevelParameters {
        max_batch_size: Some(16),
        max_execution_batch_size: Some(8),
        batch_timeout: Some(Duration::from_millis(1)),
        max_enqueued_batches: Some(3),
        allowed_batch_sizes: Some(vec![8]),
    };
    let wanted = Parameters {
        mode: Some(Mode::Adaptive),
        max_batch_size: Some(64),
        batch_timeout: Some(Duration::from_millis(2)),
        max_enqueued_batches: Some(100),
        num_batch_threads: Some(4),
        thread_pool_name: Some("pool".to_owned()),
        rank_queues: Some(true),
        allowed_batch_sizes: Some(vec![1, 8, 64]),
        batch_padding_policy: Some(BatchPadding::BatchDown),
        pad_variable_length_inputs: Some(true),
        padding_value: Some(PadValue::Number(-1.5)),
        unpad_outputs: Some([("scores.0".to_owned(), "tokens".to_owned())].into()),
        enable_large_batch_splitting: Some(true),
        max_execution_batch_size: Some(32),
        latency_target: None,
        initial_in_flight_batches_limit: Some(2.0),
        batches_to_average_over: Some(10),
        preferred_batch_sizes: Some(vec![8]),
        preserve_ordering: Some(true),
        priority_levels: Some(2),
        default_priority_level: Some(2),
        mixed_priority_batching_policy: Some(PriorityMixing::Merge),
        default_queue_policy: Some(default_queue_policy),
        priority_queue_policy: Some([(2, second_policy)].into()),
        levels: Some([(2, second_level)].into()),
    };
    assert_eq!(said, wanted);
}

#[test]
fn words_of_other_servers_mean_the_same() {
    for (theirs, ours) in [
        ("batch_timeout_micros = 1500", "batch_timeout = 1500us"),
        ("max_queue_delay_microseconds = 100", "batch_timeout = 100us"),
        ("latency_target_micros = 20000", "latency_target = 20ms"),
        ("preferred_batch_size = 4,8", "preferred_batch_sizes = 4,8"),
        (
            "batch_padding_policy = MINIMIZE_TPU_COST_PER_REQUEST",
            "batch_padding_policy = minimize-cost-per-request",
        ),
        ("enable_priority_queue = true", "priority_levels = 2"),
        ("enable_priority_queue = false", "priority_levels = 1"),
        ("high_priority_queue_options.input_batch_size_limit = 8", "levels.1.max_batch_size = 8"),
        ("low_priority_queue_options.batch_timeout_micros = 8", "levels.2.batch_timeout = 8us"),
        (
            "mixed_priority_batching_policy = low_priority_padding_with_max_batch_size",
            "mixed_priority_batching_policy = pad_to_max",
        ),
        (
            "priority_queue_policy.1.default_timeout_microseconds = 5",
            "priority_queue_policy.1.default_timeout = 5us",
        ),
        ("batch_timeout = 0", "batch_timeout_micros = 0"),
    ] {
        assert_eq!(parameters(theirs), parameters(ours), "{theirs}");
    }
}

#[test]
fn words_are_written_as_they_are_read() {
    for word in ["off", "fixed", "adaptive", "latency_target"] {
        assert_eq!(parameters(&format!("mode = {word}")).mode.unwrap().to_string(), word);
    }
    for word in ["pad_up", "batch_down", "minimize_cost_per_request", "disabled"] {
        let said = parameters(&format!("batch_padding_policy = {word}"));
        assert_eq!(said.batch_padding_policy.unwrap().to_string(), word);
    }
    for word in ["pad_to_max", "pad_to_next_allowed", "isolate", "merge"] {
        let said = parameters(&format!("mixed_priority_batching_policy = {word}"));
        assert_eq!(said.mixed_priority_batching_policy.unwrap().to_string(), word);
    }
    for word in ["reject", "delay"] {
        let said = parameters(&format!("default_queue_policy.timeout_action = {word}"));
        let policy = said.default_queue_policy.unwrap();
        assert_eq!(policy.timeout_action.unwrap().to_string(), word);
    }
    for word in ["first_element", "zero", "-1.5", "7"] {
        assert_eq!(parameters(&format!("padding_value = {word}")).padding_value.unwrap().to_string(), word);
    }
}

#[test]
fn a_latency_target_says_the_mode() {
    assert_eq!(parameters("latency_target = 20ms").mode, Some(Mode::LatencyTarget));
    assert_eq!(parameters("latency_target = 20ms; mode = off").mode, Some(Mode::Off));
}

#[test]
fn what_cannot_be_is_refused_with_name_and_value() {
    for (text, message) in [
        ("max_batch_size = big", "max_batch_size is `big`, a whole number was wanted"),
        ("max_batch_size = 1.5", "max_batch_size is 1.5, a whole number was wanted"),
        ("batch_timeout = 2", "batch_timeout is 2, a time such as 500us or 2ms was wanted"),
        ("batch_timeout = soon", "batch_timeout is `soon`, a time such as 500us or 2ms was wanted"),
        (
            "batch_timeout_micros = -1",
            "batch_timeout_micros is -1, a number of microseconds, 0 or more, was wanted",
        ),
        ("mode = fast", "mode is `fast`, one of off, fixed, adaptive, latency_target was wanted"),
        ("mode = true", "mode is true, one of off, fixed, adaptive, latency_target was wanted"),
        ("preserve_ordering = 1", "preserve_ordering is 1, true or false was wanted"),
        (
            "allowed_batch_sizes = 1,x",
            "allowed_batch_sizes is `1,x`, a size, or sizes such as 1,2,4, was wanted",
        ),
        ("padding_value = one", "padding_value is `one`, a number, zero or first_element was wanted"),
        ("thread_pool_name = 7", "thread_pool_name is 7, a text was wanted"),
        ("unpad_outputs.y = 7", "unpad_outputs.y is 7, a text was wanted"),
        (
            "levels.2.batch_timeout = x",
            "levels.2.batch_timeout is `x`, a time such as 500us or 2ms was wanted",
        ),
        (
            "batch_timeout = 1ms; batch_timeout_micros = 1000",
            "batch_timeout_micros says what is said by another name, one was wanted",
        ),
        ("max_batchsize = 1", "unknown parameter `max_batchsize`; max_batch_size was wanted perhaps"),
        (
            "default_queue_policy.queue_size = 1",
            "`default_queue_policy`: unknown parameter `queue_size`; there are: timeout_action, default_timeout, \
             default_timeout_micros, allow_timeout_override, max_queue_size",
        ),
        (
            "levels.2.max_batch_sise = 1",
            "`levels.2`: unknown parameter `max_batch_sise`; max_batch_size was wanted perhaps",
        ),
    ] {
        let status = Parameters::from_options(&written(text)).unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, message), "{text}");
    }
    for text in
        ["x = 1", "levels = 1", "levels.x.max_batch_size = 1", "levels.1 = 1", "levels.-1.a = 1", "a.b = 1"]
    {
        let status = Parameters::from_options(&written(text)).unwrap_err();
        assert!(status.message().starts_with("unknown parameter"), "{text}: {status}");
    }
}

/// The names that whoever says one that is not known is told of.
fn names() -> Vec<String> {
    let status = Parameters::from_options(&written("zzzzzzzz = 1")).unwrap_err();
    let names = status.message().split_once("there are: ").unwrap().1;
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn whatever_is_wrong_of_any_parameter_is_refused_by_its_name() {
    // What is wrong by itself, and then what is wrong beside others.
    let wrong = [
        ("mode", "mode = fast"),
        ("mode", "mode = 1"),
        ("max_batch_size", "max_batch_size = many"),
        ("max_batch_size", "max_batch_size = 0"),
        ("batch_timeout", "batch_timeout = 2"),
        ("batch_timeout", "batch_timeout = -2ms"),
        ("batch_timeout_micros", "batch_timeout_micros = -1"),
        ("batch_timeout_micros", "batch_timeout_micros = 2ms"),
        ("max_enqueued_batches", "max_enqueued_batches = -1"),
        ("max_enqueued_batches", "max_enqueued_batches = 0; enable_large_batch_splitting = true"),
        ("num_batch_threads", "num_batch_threads = 0"),
        ("num_batch_threads", "num_batch_threads = 4097"),
        ("thread_pool_name", "thread_pool_name = 1"),
        ("thread_pool_name", "thread_pool_name = a\0b"),
        ("rank_queues", "rank_queues = high"),
        ("allowed_batch_sizes", "allowed_batch_sizes = true"),
        ("allowed_batch_sizes", "allowed_batch_sizes = 4,2"),
        ("allowed_batch_sizes", "allowed_batch_sizes = 2,4; max_batch_size = 8"),
        ("batch_padding_policy", "batch_padding_policy = up"),
        ("pad_variable_length_inputs", "pad_variable_length_inputs = 1"),
        ("padding_value", "padding_value = true; pad_variable_length_inputs = true"),
        ("padding_value", "padding_value = NaN; pad_variable_length_inputs = true"),
        ("padding_value", "padding_value = 0"),
        ("unpad_outputs.NAME", "unpad_outputs.y = 1; pad_variable_length_inputs = true"),
        ("unpad_outputs.NAME", "unpad_outputs.y = x"),
        ("enable_large_batch_splitting", "enable_large_batch_splitting = 2"),
        ("max_execution_batch_size", "max_execution_batch_size = 0; enable_large_batch_splitting = true"),
        ("max_execution_batch_size", "max_execution_batch_size = 2000; enable_large_batch_splitting = true"),
        ("max_execution_batch_size", "max_execution_batch_size = 4; max_batch_size = 8"),
        ("latency_target", "latency_target = 5"),
        ("latency_target", "latency_target = 5ms; mode = fixed"),
        ("initial_in_flight_batches_limit", "initial_in_flight_batches_limit = few"),
        ("initial_in_flight_batches_limit", "initial_in_flight_batches_limit = 0.5; mode = adaptive"),
        ("initial_in_flight_batches_limit", "initial_in_flight_batches_limit = 1"),
        ("batches_to_average_over", "batches_to_average_over = 0; mode = adaptive"),
        ("batches_to_average_over", "batches_to_average_over = 10"),
        ("preferred_batch_sizes", "preferred_batch_sizes = 0"),
        ("preferred_batch_sizes", "preferred_batch_sizes = 1001"),
        ("preserve_ordering", "preserve_ordering = 1"),
        ("priority_levels", "priority_levels = 257"),
        ("default_priority_level", "default_priority_level = 2"),
        ("mixed_priority_batching_policy", "mixed_priority_batching_policy = mix"),
        ("default_queue_policy.NAME", "default_queue_policy.timeout_action = drop"),
        ("default_queue_policy.NAME", "default_queue_policy.default_timeout = 5"),
        ("default_queue_policy.NAME", "default_queue_policy.allow_timeout_override = 1"),
        ("default_queue_policy.NAME", "default_queue_policy.max_queue_size = -1"),
        ("priority_queue_policy.LEVEL.NAME", "priority_queue_policy.1.max_queue_size = -1"),
        (
            "priority_queue_policy.LEVEL.NAME",
            "priority_queue_policy.2.max_queue_size = 1; priority_levels = 1",
        ),
        ("levels.LEVEL.NAME", "levels.2.allowed_batch_sizes = 4,2"),
        ("levels.LEVEL.NAME", "levels.3.max_batch_size = 1; priority_levels = 2"),
    ];
    for (name, text) in wrong {
        let said = Parameters::from_options(&written(text));
        let status = said.and_then(|said| said.resolve()).expect_err(text);
        let field = name.split('.').next().unwrap();
        assert!(
            status.code() == Code::InvalidArgument && status.message().starts_with(field),
            "{text}: {status}"
        );
        assert!(status.message().contains(" wanted"), "{text}: {status}");
    }
    for name in names() {
        assert!(wrong.iter().any(|(field, _)| *field == name), "{name}");
    }
}

#[test]
fn the_names_that_are_shown_are_known() {
    let names = names();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let name = name
            .replace(".NAME", ".max_queue_size")
            .replace("levels.LEVEL.max_queue_size", "levels.1.max_batch_size");
        let said = written(&format!("{} = 1", name.replace("LEVEL", "1")));
        if let Err(status) = Parameters::from_options(&said) {
            assert!(!status.message().contains("unknown"), "{name}: {status}");
        }
    }
}

fn any_value() -> impl Strategy<Value = OptionValue> {
    prop_oneof![
        any::<bool>().prop_map(OptionValue::Bool),
        any::<i64>().prop_map(OptionValue::Int),
        any::<f64>().prop_map(OptionValue::Float),
        "[0-9a-z., ]{0,8}".prop_map(OptionValue::Text),
        any::<String>().prop_map(OptionValue::Text),
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    let words = [
        "levels",
        "1",
        "2",
        "99999999999",
        "max_batch_size",
        "batch_timeout",
        "default_queue_policy",
        "latency_target",
        "default_timeout",
        "padding_value",
        "unpad_outputs",
        "allowed_batch_sizes",
        "mode",
        "",
        "max_batchsize",
        "é",
    ];
    let path = proptest::collection::vec(proptest::sample::select(words.to_vec()), 1..4);
    prop_oneof![path.prop_map(|words| words.join(".")), any::<String>()]
}

proptest! {
    #[test]
    fn whatever_is_said_is_read_or_refused(said in proptest::collection::vec((any_name(), any_value()), 0..6)) {
        let mut options = Options::new();
        for (name, value) in said {
            options.set(name, value);
        }
        match Parameters::from_options(&options) {
            Ok(parameters) => drop(parameters.resolve()),
            Err(status) => prop_assert_eq!(status.code(), Code::InvalidArgument),
        }
    }
}
