//! Batching parameters as TensorFlow Serving has them in a file.

use salver_batching_parameters::Parameters;
use salver_core_platform::{OptionValue, Options};
use salver_core_status::Status;
use salver_proto::tensorflow::serving::BatchingParameters;

use crate::text_proto;

/// Reads the text form of `tensorflow.serving.BatchingParameters`.
///
/// # Errors
/// INVALID_ARGUMENT that names the field and says where it is, or what was found and what was wanted.
pub(super) fn read(text: &str) -> Result<Parameters, Status> {
    let message: BatchingParameters = text_proto::read("tensorflow.serving.BatchingParameters", text)?;
    let mut options = Options::new();
    for (name, value) in [
        ("max_batch_size", message.max_batch_size),
        ("batch_timeout_micros", message.batch_timeout_micros),
        ("max_enqueued_batches", message.max_enqueued_batches),
        ("num_batch_threads", message.num_batch_threads),
        ("max_execution_batch_size", message.max_execution_batch_size),
    ] {
        if let Some(value) = value {
            options.set(name, OptionValue::Int(value));
        }
    }
    if let Some(name) = message.thread_pool_name {
        options.set("thread_pool_name", OptionValue::Text(name));
    }
    if let Some(splits) = message.enable_large_batch_splitting {
        options.set("enable_large_batch_splitting", OptionValue::Bool(splits));
    }
    // What is empty or false in this message is not said.
    if !message.allowed_batch_sizes.is_empty() {
        let sizes: Vec<_> = message.allowed_batch_sizes.iter().map(i64::to_string).collect();
        options.set("allowed_batch_sizes", OptionValue::Text(sizes.join(",")));
    }
    if message.pad_variable_length_inputs {
        options.set("pad_variable_length_inputs", OptionValue::Bool(true));
    }
    Parameters::from_options(&options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn tensorflow_serving_s_own_example_is_read() {
        let text = "
            # As in its guide.
            max_batch_size { value: 128 }
            batch_timeout_micros { value: 0 }
            max_enqueued_batches { value: 1000000 }
            num_batch_threads { value: 8 }
        ";
        let wanted = Parameters {
            max_batch_size: Some(128),
            batch_timeout: Some(Duration::ZERO),
            max_enqueued_batches: Some(1_000_000),
            num_batch_threads: Some(8),
            ..Parameters::default()
        };
        assert_eq!(read(text), Ok(wanted));
    }

    #[test]
    fn every_field_is_read() {
        let text = "
            max_batch_size: { value: 64 }, batch_timeout_micros: { value: 1500 }; max_enqueued_batches < value: 3 >
            num_batch_threads { value: 2 } thread_pool_name { value: 'pool' }
            allowed_batch_sizes: 8 allowed_batch_sizes: [16, 32] pad_variable_length_inputs: true
            enable_large_batch_splitting { value: true } max_execution_batch_size { value: 32 }
        ";
        let wanted = Parameters {
            max_batch_size: Some(64),
            batch_timeout: Some(Duration::from_micros(1500)),
            max_enqueued_batches: Some(3),
            num_batch_threads: Some(2),
            thread_pool_name: Some("pool".to_owned()),
            allowed_batch_sizes: Some(vec![8, 16, 32]),
            pad_variable_length_inputs: Some(true),
            enable_large_batch_splitting: Some(true),
            max_execution_batch_size: Some(32),
            ..Parameters::default()
        };
        assert_eq!(read(text), Ok(wanted));
        assert_eq!(read(""), Ok(Parameters::default()));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        for (text, parts) in [
            ("max_batch_size: 8", &["Error parsing text-format tensorflow.serving.BatchingParameters"][..]),
            ("max_batchsize { value: 8 }", &["BatchingParameters", "max_batchsize"]),
            ("batch_timeout_micros { value: -1 }", &["batch_timeout_micros is -1, a number of microseconds"]),
            ("max_batch_size { value: 99999999999999999999 }", &["BatchingParameters"]),
        ] {
            let status = read(text).unwrap_err();
            for part in parts {
                assert!(status.message().contains(part), "{text}: {status}");
            }
        }
    }
}
