//! TensorFlow Serving's flags that are more, or less, than another spelling of ours.

use std::time::Duration;

use clap::Args;
use salver_core_platform::OptionValue;

use crate::options::PlatformOption;

/// How a flag is treated that exists for start scripts written for TensorFlow Serving.
enum Treatment {
    /// Asks for what Salver does anyway, or for what has no counterpart; the server says so and goes on.
    NoEffect(&'static str),
    /// Asks for what Salver does not do: going on without would be something else than was asked for.
    Refused(&'static str),
}

use Treatment::{NoEffect, Refused};

/// Declares the flags, and the table of how each is treated.
macro_rules! compat_flags {
    ($($flag:ident => $treatment:expr,)*) => {
        /// Flags of TensorFlow Serving that are accepted without a counterpart, or refused with a reason.
        #[derive(Debug, Default, Args)]
        pub struct CompatArgs {
            /// Milliseconds, in place of --rest-timeout
            #[arg(long = "rest_api_timeout_in_ms", hide = true)]
            pub(crate) rest_api_timeout_in_ms: Option<u64>,
            /// Microseconds, in place of --load-retry-wait
            #[arg(long = "load_retry_interval_micros", hide = true, allow_hyphen_values = true)]
            pub(crate) load_retry_interval_micros: Option<i64>,
            /// In place of --keep-file-cache
            #[arg(long = "flush_filesystem_caches", hide = true, num_args = 0..=1, default_missing_value = "true")]
            pub(crate) flush_filesystem_caches: Option<bool>,
            /// In place of the option `tags` of the platform `tensorflow`
            #[arg(long = "saved_model_tags", hide = true)]
            pub(crate) saved_model_tags: Option<String>,
            /// In place of its option `inter_op_threads`; 0 and less for as many as there are for platforms
            #[arg(long = "tensorflow_inter_op_parallelism", hide = true, allow_hyphen_values = true)]
            pub(crate) tensorflow_inter_op_parallelism: Option<i64>,
            /// In place of both its options of threads; 0 and less as above
            #[arg(long = "tensorflow_session_parallelism", hide = true, allow_hyphen_values = true)]
            pub(crate) tensorflow_session_parallelism: Option<i64>,
            $(
                #[arg(long = stringify!($flag), hide = true, num_args = 0..=1, default_missing_value = "true")]
                $flag: Option<String>,
            )*
        }

        impl CompatArgs {
            fn given(&self) -> Vec<(&'static str, &str, Treatment)> {
                let mut given = Vec::new();
                $(
                    if let Some(value) = &self.$flag {
                        given.push((stringify!($flag), value.as_str(), $treatment));
                    }
                )*
                given
            }
        }
    };
}

compat_flags! {
    allow_version_labels_for_unavailable_models => NoEffect("a label waits for its version in any case"),
    enable_grpc_healthcheck_service => NoEffect("the health service is always there"),
    enable_model_warmup => NoEffect("warm-up requests are not replayed"),
    enable_profiler => NoEffect("there is no profiler service"),
    enable_signature_method_name_check => NoEffect("method names are not checked"),
    grpc_channel_arguments => NoEffect("there is no gRPC core to pass them to"),
    grpc_max_threads => NoEffect("requests do not hold threads"),
    mixed_precision => NoEffect("precision is a platform's setting: --platform-option"),
    monitoring_config_file => NoEffect("metrics are always at /metrics"),
    num_request_iterations_for_warmup => NoEffect("warm-up requests are not replayed"),
    num_tflite_interpreters_per_pool => NoEffect("threads are a platform's setting: --platform-option"),
    num_tflite_pools => NoEffect("threads are a platform's setting: --platform-option"),
    per_process_gpu_memory_fraction => NoEffect("devices are a platform's setting: --platform-option"),
    prefer_tflite_model => NoEffect("which files are a model is up to the platform"),
    remove_unused_fields_from_bundle_metagraph => NoEffect("that is up to the platform"),
    rest_api_num_threads => NoEffect("requests do not hold threads"),
    skip_initialize_tpu => NoEffect("devices are a platform's setting: --platform-option"),
    tensorflow_session_config_file => NoEffect("sessions are a platform's setting: --platform-option"),
    thread_pool_factory_config_file => NoEffect("threads are a platform's setting: --platform-option"),
    xla_cpu_compilation_enabled => NoEffect("compilation is a platform's setting: --platform-option"),
    xla_gpu_compilation_enabled => NoEffect("compilation is a platform's setting: --platform-option"),
    platform_config_file => Refused("platforms are set by --platform-option"),
    ssl_config_file => Refused("connections are not encrypted by this server"),
    use_alts_credentials => Refused("connections are not encrypted by this server"),
}

impl CompatArgs {
    /// The wait before a load is tried again, where it was given; less than nothing is nothing.
    pub(crate) fn load_retry_wait(&self) -> Option<Duration> {
        self.load_retry_interval_micros
            .map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// The settings of the platform `tensorflow` that flags of TensorFlow Serving's stand for.
    pub(crate) fn platform_options(&self) -> Vec<PlatformOption> {
        let tags = self.saved_model_tags.clone().filter(|tags| !tags.is_empty()).map(OptionValue::Text);
        let threads = |count: Option<i64>| count.filter(|count| *count > 0).map(OptionValue::Int);
        let of_both = threads(self.tensorflow_session_parallelism);
        let between = threads(self.tensorflow_inter_op_parallelism).or_else(|| of_both.clone());
        [("tags", tags), ("intra_op_threads", of_both), ("inter_op_threads", between)]
            .into_iter()
            .filter_map(|(name, value)| {
                Some(PlatformOption { platform: "tensorflow".into(), name: name.into(), value: value? })
            })
            .collect()
    }

    /// What to tell the person who gave flags that have no effect.
    ///
    /// # Errors
    /// The flag that asks for what Salver does not do, and why it is refused. A flag that is switched off, or empty,
    /// asks for nothing.
    pub(crate) fn check(&self) -> Result<Vec<String>, String> {
        let mut notes = Vec::new();
        for (flag, value, treatment) in self.given() {
            match treatment {
                NoEffect(reason) => notes.push(format!("--{flag} has no effect: {reason}")),
                Refused(_) if matches!(value, "" | "false" | "0") => {}
                Refused(reason) => return Err(format!("--{flag} is not supported: {reason}")),
            }
        }
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_asks_for_what_is_not_there_is_refused_unless_it_is_off() {
        let on = CompatArgs { ssl_config_file: Some("/ssl.txt".into()), ..Default::default() };
        assert_eq!(
            on.check().unwrap_err(),
            "--ssl_config_file is not supported: connections are not encrypted by this server"
        );
        let off = CompatArgs { use_alts_credentials: Some("false".into()), ..Default::default() };
        assert_eq!(off.check(), Ok(Vec::new()));
    }

    #[test]
    fn tags_and_threads_are_settings_of_the_platform() {
        let told = |args: CompatArgs| {
            let option = |option: PlatformOption| (option.platform, option.name, option.value);
            args.platform_options().into_iter().map(option).collect::<Vec<_>>()
        };
        let wanted = |name: &str, value| ("tensorflow".to_owned(), name.to_owned(), value);
        let all = CompatArgs {
            saved_model_tags: Some("serve,gpu".into()),
            tensorflow_session_parallelism: Some(4),
            tensorflow_inter_op_parallelism: Some(2),
            ..Default::default()
        };
        assert_eq!(
            told(all),
            [
                wanted("tags", OptionValue::Text("serve,gpu".into())),
                wanted("intra_op_threads", OptionValue::Int(4)),
                wanted("inter_op_threads", OptionValue::Int(2)),
            ]
        );
        let defaults = CompatArgs {
            saved_model_tags: Some(String::new()),
            tensorflow_session_parallelism: Some(0),
            tensorflow_inter_op_parallelism: Some(-1),
            ..Default::default()
        };
        assert_eq!(told(defaults), []);
    }

    #[test]
    fn a_flag_without_effect_is_told() {
        let args = CompatArgs { enable_profiler: Some("true".into()), ..Default::default() };
        assert_eq!(args.check().unwrap(), ["--enable_profiler has no effect: there is no profiler service"]);
    }
}
