//! What Triton's `config.pbtxt` says of batching.

use salver_batching_parameters::{Mode, Parameters};
use salver_core_platform::{OptionValue, Options};
use salver_core_status::Status;

use crate::text_tree::{Tree, Value, truth, whole};
use crate::triton::max_batch_size;

/// Triton's queues have no end unless `max_queue_size` says one. So many batches take longer than anybody waits, and still
/// are a bound.
const MAX_ENQUEUED_BATCHES: i64 = 100_000;

/// Reads `max_batch_size` and `dynamic_batching` of a model's configuration, and nothing else of it.
///
/// Where `max_batch_size` is 0 or there is no `dynamic_batching`, requests are not batched: [`Mode::Off`]. Else all is said
/// that Triton says, in its defaults too, so that nothing but the pool's settings is left to the server: batches of up to
/// `max_batch_size` rows, levels that share batches (`merge`), no list of allowed sizes, no padding and no splitting.
///
/// # Errors
/// INVALID_ARGUMENT that names the field, what was found and what was wanted.
pub(crate) fn read(config: &Tree) -> Result<Parameters, Status> {
    let max_batch_size = max_batch_size(config)?;
    let batching = match config.last("dynamic_batching") {
        Some(Value::Tree(batching)) if max_batch_size != 0 => batching,
        None | Some(Value::Tree(_)) => {
            return Ok(Parameters { mode: Some(Mode::Off), ..Parameters::default() });
        }
        Some(_) => return Err(Status::invalid_argument("dynamic_batching is not a message")),
    };
    let mut options = Options::new();
    for (name, value) in [
        ("mode", OptionValue::Text("fixed".to_owned())),
        ("max_batch_size", OptionValue::Int(max_batch_size)),
        ("max_enqueued_batches", OptionValue::Int(MAX_ENQUEUED_BATCHES)),
        ("allowed_batch_sizes", OptionValue::Text(String::new())),
        ("pad_variable_length_inputs", OptionValue::Bool(false)),
        ("enable_large_batch_splitting", OptionValue::Bool(false)),
        ("mixed_priority_batching_policy", OptionValue::Text("merge".to_owned())),
    ] {
        options.set(name, value);
    }
    let preferred: Result<Vec<_>, _> = batching
        .all("preferred_batch_size")
        .map(|value| whole("preferred_batch_size", value).map(|size| size.to_string()))
        .collect();
    options.set("preferred_batch_size", OptionValue::Text(preferred?.join(",")));
    set(&mut options, "", batching, "max_queue_delay_microseconds", OptionValue::Int(0))?;
    set(&mut options, "", batching, "preserve_ordering", OptionValue::Bool(false))?;
    set(&mut options, "", batching, "priority_levels", OptionValue::Int(0))?;
    set_policy(&mut options, "default_queue_policy.", batching.last("default_queue_policy"))?;
    if options.int("priority_levels")? != Some(0) {
        set(&mut options, "", batching, "default_priority_level", OptionValue::Int(0))?;
        for entry in batching.all("priority_queue_policy") {
            let Value::Tree(entry) = entry else {
                return Err(Status::invalid_argument("priority_queue_policy is not a map"));
            };
            let level = entry.last("key").map_or(Ok(0), |key| whole("priority_queue_policy", key))?;
            set_policy(&mut options, &format!("priority_queue_policy.{level}."), entry.last("value"))?;
        }
    }
    Parameters::from_options(&options)
}

/// Everything that a policy has: of what it does not say, Triton takes the default, and not what holds for all levels.
fn set_policy(options: &mut Options, path: &str, policy: Option<&Value>) -> Result<(), Status> {
    let nothing = Tree::default();
    let policy = match policy {
        Some(Value::Tree(policy)) => policy,
        None => &nothing,
        Some(_) => {
            let field = path.trim_end_matches('.');
            return Err(Status::invalid_argument(format!("{field} is not a message")));
        }
    };
    for (name, default) in [
        ("timeout_action", OptionValue::Text("reject".to_owned())),
        ("default_timeout_microseconds", OptionValue::Int(0)),
        ("allow_timeout_override", OptionValue::Bool(false)),
        ("max_queue_size", OptionValue::Int(0)),
    ] {
        set(options, path, policy, name, default)?;
    }
    Ok(())
}

/// One field of a kind that its default has.
fn set(
    options: &mut Options,
    path: &str,
    tree: &Tree,
    name: &str,
    default: OptionValue,
) -> Result<(), Status> {
    let shown = format!("{path}{name}");
    let value = match (tree.last(name), &default) {
        (None, _) => default,
        (Some(value), OptionValue::Int(_)) => OptionValue::Int(whole(&shown, value)?),
        (Some(value), OptionValue::Bool(_)) => OptionValue::Bool(truth(&shown, value)?),
        (Some(Value::Word(word)), _) => OptionValue::Text(word.clone()),
        (Some(_), _) => return Err(Status::invalid_argument(format!("{shown} is not a word"))),
    };
    options.set(shown, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_triton_batching as read;
    use salver_batching_queue::{PriorityMixing, QueuePolicy, TimeoutAction};
    use std::time::Duration;

    /// As they are in model repositories: with inputs and outputs, and what only Triton knows.
    const CONFIG: &str = r#"
        name: "digits"
        platform: "onnxruntime_onnx"
        max_batch_size : 64
        input [ { name: "image" data_type: TYPE_FP32 dims: [ 1, 8, 8 ] } ]
        output [
          { name: "scores" data_type: TYPE_FP32 dims: [ 10 ], label_filename: "labels.txt" }
        ]
        instance_group [ { count: 2 kind: KIND_CPU } ]
        dynamic_batching {
          preferred_batch_size: [ 16, 8 ]
          max_queue_delay_microseconds: 100
          preserve_ordering: true
          priority_levels: 3
          default_priority_level: 2
          default_queue_policy {
            timeout_action: DELAY
            default_timeout_microseconds: 5000
            allow_timeout_override: true
            max_queue_size: 100
          }
          priority_queue_policy [
            { key: 3 value { max_queue_size: 10 } }
          ]
          what_comes_next { year: 2031 }
        }
        parameters { key: "execution_mode" value: { string_value: "0 } ]" } }
    "#;

    #[test]
    fn what_is_said_of_batching_is_read_out_of_all_the_rest() {
        let options = read(CONFIG).unwrap().resolve().unwrap().unwrap();
        let queue = &options.queue;
        let [first, _, third] = queue.levels.as_slice() else { panic!("{queue:?}") };
        assert_eq!((queue.default_level, queue.mixing), (1, PriorityMixing::Merge));
        assert_eq!((first.max_batch_size, first.max_enqueued_batches), (64, 100_000));
        assert_eq!(first.batch_timeout, Duration::from_micros(100));
        assert_eq!(first.preferred_batch_sizes, [8, 16]);
        assert!(options.preserve_ordering);
        let policy = QueuePolicy {
            max_queue_size: Some(100),
            default_timeout: Some(Duration::from_millis(5)),
            allow_timeout_override: true,
            timeout_action: TimeoutAction::Delay,
        };
        assert_eq!(first.policy, policy);
        // What a level's policy leaves out is Triton's default, not that of all levels.
        assert_eq!(third.policy, QueuePolicy { max_queue_size: Some(10), ..QueuePolicy::default() });
    }

    #[test]
    fn nothing_but_the_pool_s_settings_is_left_to_the_server() {
        let mut server = Options::new();
        for (name, value) in [
            ("num_batch_threads", OptionValue::Int(3)),
            ("latency_target", OptionValue::Text("5ms".into())),
            ("allowed_batch_sizes", OptionValue::Text("2,4".into())),
            ("max_execution_batch_size", OptionValue::Int(4)),
            ("enable_large_batch_splitting", OptionValue::Bool(true)),
            ("pad_variable_length_inputs", OptionValue::Bool(true)),
            ("padding_value", OptionValue::Int(0)),
            ("levels.9.max_batch_size", OptionValue::Int(1)),
            ("default_queue_policy.max_queue_size", OptionValue::Int(1)),
        ] {
            server.set(name, value);
        }
        let server = Parameters::from_options(&server).unwrap();
        let model = read("max_batch_size: 8 dynamic_batching { }").unwrap();
        let alone = Parameters { num_batch_threads: Some(3), ..Parameters::default() }.over(&model);
        assert_eq!(server.over(&model).resolve(), alone.resolve());
        let options = alone.resolve().unwrap().unwrap();
        assert_eq!((options.pool.threads, options.queue.levels[0].max_batch_size), (3, 8));
    }

    #[test]
    fn a_model_without_batches_is_not_batched() {
        for text in
            ["", "max_batch_size: 8", "max_batch_size: 0 dynamic_batching { }", "dynamic_batching { }"]
        {
            assert_eq!(read(text).unwrap().resolve(), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        for (text, message) in [
            ("max_batch_size: many", "max_batch_size is `many`, a whole number was wanted"),
            ("max_batch_size: +1", "max_batch_size is `+1`, a whole number was wanted"),
            ("dynamic_batching: 1", "dynamic_batching is not a message"),
            ("max_batch_size", "line 1: `:` or `{` was wanted"),
            (
                "max_batch_size: 8 dynamic_batching { preferred_batch_size: 'x' }",
                "preferred_batch_size is `x`, a whole number was wanted",
            ),
            (
                "max_batch_size: 8 dynamic_batching { preserve_ordering: maybe }",
                "preserve_ordering is not true or false",
            ),
            (
                "max_batch_size: 8 dynamic_batching { default_queue_policy { timeout_action: WAIT } }",
                "default_queue_policy.timeout_action is `WAIT`, one of reject, delay was wanted",
            ),
            (
                "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: -1 }",
                "max_queue_delay_microseconds is -1, a number of microseconds, 0 or more, was wanted",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().message(), message, "{text}");
        }
        let text = "max_batch_size: 8 dynamic_batching { priority_levels: 2 }";
        let status = read(text).unwrap().resolve().unwrap_err();
        assert!(status.message().starts_with("default_priority_level is 0"), "{status}");
        assert!(read("max_batch_size: -8 dynamic_batching { }").unwrap().resolve().is_err());
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let number = |word: &str| whole("n", &Value::Word(word.to_owned())).ok();
        for (word, value) in [
            ("12", Some(12)),
            ("-12", Some(-12)),
            ("0", Some(0)),
            ("0x1F", Some(31)),
            ("017", Some(15)),
            ("18446744073709551615", Some(i64::MAX)),
            ("--1", None),
            ("1.5", None),
            ("0x", None),
            ("", None),
        ] {
            assert_eq!(number(word), value, "{word}");
        }
    }
}
