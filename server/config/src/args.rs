//! The command line as it is typed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use salver_manager_source_file::VersionPolicy;

use crate::compat::CompatArgs;
use crate::options::{PlatformOption, parse_platform_option};
use crate::policy::parse_policy;
use crate::size::parse_bytes;

/// A machine-learning model server: TensorFlow Serving's and the Open Inference Protocol's APIs, any framework.
#[derive(Debug, Parser)]
#[command(name = "salver", version, propagate_version = true, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve models
    Serve(Box<ServeArgs>),
    /// Look at platform plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Print name, version, ABI and platforms of plugin libraries, without running any of their code
    Inspect {
        /// The libraries
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// The flags of `salver serve`. TensorFlow Serving's spellings are accepted too.
///
/// Of a flag given twice the last counts, as in TensorFlow Serving: a container's own come before its user's.
#[derive(Debug, Args)]
#[command(next_line_help = false, args_override_self = true)]
pub struct ServeArgs {
    /// A directory of models, `DIR/<model>/<version>/`; may be given several times
    #[arg(long, value_name = "DIR", visible_alias = "model_repository", help_heading = "Models")]
    pub model_repository: Vec<PathBuf>,

    /// The name of the model at --model-base-path
    #[arg(
        long,
        value_name = "NAME",
        alias = "model_name",
        default_value = "default",
        help_heading = "Models"
    )]
    pub model_name: String,

    /// One model's directory, `PATH/<version>/`
    #[arg(long, value_name = "PATH", alias = "model_base_path", help_heading = "Models")]
    pub model_base_path: Option<PathBuf>,

    /// Which versions to serve: latest, latest:N, all or specific:V,V
    #[arg(long, value_name = "POLICY", default_value = "latest", value_parser = parse_policy, help_heading = "Models")]
    pub version_policy: VersionPolicy,

    /// How often to look for new versions, such as 500ms; a plain number is in seconds; 0 looks once
    #[arg(long, value_name = "TIME", alias = "file_system_poll_wait_seconds", default_value = "1s",
        value_parser = parse_duration, help_heading = "Models")]
    pub poll_interval: Duration,

    /// How many versions are loaded at once; the number of CPUs, at least 4, where it is not given
    #[arg(long, value_name = "N", alias = "num_load_threads", help_heading = "Models")]
    pub load_threads: Option<usize>,

    /// How many versions are unloaded at once
    #[arg(
        long,
        value_name = "N",
        alias = "num_unload_threads",
        default_value = "2",
        help_heading = "Models"
    )]
    pub unload_threads: usize,

    /// A directory of platform plugins; may be given several times. Default: `plugins` beside the `bin` that holds
    /// this program
    #[arg(
        long,
        value_name = "DIR",
        env = "SALVER_PLUGIN_PATH",
        value_delimiter = ':',
        help_heading = "Platforms"
    )]
    pub plugin_dir: Vec<PathBuf>,

    /// A setting for a platform, such as onnxruntime.intra_op_threads=2; may be given several times
    #[arg(long, value_name = "PLATFORM.OPTION=VALUE", value_parser = parse_platform_option, help_heading = "Platforms")]
    pub platform_option: Vec<PlatformOption>,

    /// How many threads the platforms' own pools may use; the CPUs this process may use where it is not given
    #[arg(long, value_name = "N", alias = "tensorflow_intra_op_parallelism", help_heading = "Platforms")]
    pub cpu_threads: Option<usize>,

    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0", help_heading = "Network")]
    pub host: IpAddr,

    /// The port for gRPC and REST; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value = "8500", help_heading = "Network")]
    pub port: u16,

    /// A second port that answers the same; 8501 where --port is not given either, and that port is free
    #[arg(long, value_name = "PORT", alias = "rest_api_port", alias = "rest_port", help_heading = "Network")]
    pub rest_port: Option<u16>,

    /// The largest request, before and after decompression
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes, help_heading = "Limits")]
    pub max_request_bytes: usize,

    /// How much memory the bodies of all requests under way may take together
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes, help_heading = "Limits")]
    pub max_inflight_bytes: usize,

    /// How many connections may be open at once
    #[arg(long, value_name = "N", default_value = "4096", help_heading = "Limits")]
    pub max_connections: usize,

    /// How many runs of one version that have threads of their own go on at once; twice the CPUs where not given
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub max_concurrent_runs: Option<usize>,

    /// How many requests for one version may wait for such a run
    #[arg(long, value_name = "N", default_value = "1000", help_heading = "Limits")]
    pub max_queued_requests: usize,

    /// A run that is expected to take no longer runs on the thread that received the request
    #[arg(long, value_name = "TIME", default_value = "200us", value_parser = parse_duration, help_heading = "Limits")]
    pub inline_run_limit: Duration,

    /// How long a REST request may take; 0 sets no limit
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, help_heading = "Limits")]
    pub rest_timeout: Duration,

    /// How long requests under way may take to finish after SIGTERM
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, help_heading = "Limits")]
    pub drain_timeout: Duration,

    /// What to log: error, warn, info, debug or trace, also by target, such as info,salver_plugins_host=debug
    #[arg(long, value_name = "FILTER", env = "SALVER_LOG", default_value = "info", help_heading = "Logging")]
    pub log_level: String,

    /// How to write log lines
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text", help_heading = "Logging")]
    pub log_format: LogFormat,

    /// Flags of TensorFlow Serving beyond aliases.
    #[command(flatten)]
    pub compat: CompatArgs,
}

/// Reads `1s`, `500ms`, `200us`; a plain number is in seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("`{text}` is not a time, 0 or more"));
    }
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("`{text}` is not a time such as 500ms: {error}"))
}
