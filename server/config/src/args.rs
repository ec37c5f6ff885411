//! The command line as it is typed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use salver_core_servable::Version;
use salver_manager_source_file::VersionPolicy;

use crate::batching::{BatchingParameter, parse_batching, parse_switch};
use crate::compat::CompatArgs;
use crate::memory::{DeviceMemory, MemoryLimit, parse_device_memory, parse_limit};
use crate::model_list::Location;
use crate::on_demand::{Eviction, LoadMode};
use crate::options::{PlatformOption, parse_platform_option, written_platform_option};
use crate::policy::{Transition, parse_label, parse_policy};
use crate::size::parse_bytes;
use crate::source::{SourceEntry, parse_source};

/// A machine-learning model server: TensorFlow Serving's and the Open Inference Protocol's APIs, any framework.
#[derive(Debug, Parser)]
#[command(name = "salver", version, propagate_version = true, max_term_width = 100)]
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
    /// Change what a model says of itself, in its `model.toml`; a server that serves it takes it up at once
    Model(ModelArgs),
    /// Look at platform plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Run a platform for a server, which starts this where a platform is to have a process of its own
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// How a worker logs: as its server does.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// What to log, as for the server
    #[arg(long, value_name = "FILTER")]
    pub log_level: String,

    /// How, as for the server
    #[arg(long, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// What to change about a model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// The model's directory, which holds its versions
    pub directory: PathBuf,

    /// Let a label stand for a version; may be given several times
    #[arg(long, value_name = "LABEL=VERSION", value_parser = parse_label)]
    pub label: Vec<(String, Version)>,

    /// Remove a label; may be given several times
    #[arg(long, value_name = "LABEL")]
    pub remove_label: Vec<String>,

    /// Which versions to serve: latest, latest:N, all or specific:V,V
    #[arg(long, value_name = "POLICY")]
    pub versions: Option<String>,
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Print name, version, ABI, platforms and sources of plugin libraries, without running any of their code
    Inspect {
        /// The libraries
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run what every platform and every source must do against a plugin, each case in a process of its own; fails where a case fails
    Check(CheckArgs),
}

/// What to check of a plugin.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The library
    pub file: PathBuf,

    /// A version's directory of a model of the platform's; without it, the cases that need a model are skipped
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,

    /// A repository of models that return their one input, of any shape, each called after its element type: FP32/1 and so
    /// on; without it, the cases that need them are skipped
    #[arg(long, value_name = "DIR")]
    pub identity: Option<PathBuf>,

    /// Which of the plugin's platforms. Default: all
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,

    /// A setting for a platform, beneath those in the `model.toml` beside the model's directory; may be given several times
    #[arg(long, value_name = "PLATFORM.OPTION=VALUE", value_parser = written_platform_option)]
    pub platform_option: Vec<String>,

    /// One of the plugin's sources, and settings to make it with; without it, the cases that need one made are skipped
    #[arg(long, value_name = "NAME[:OPTION=VALUE,...]", value_parser = parse_source)]
    pub source: Option<SourceEntry>,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,

    /// How long a case may take
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,

    /// Run this case in this process, and say how it ended: what the program starts itself with
    #[arg(long, value_name = "CASE", hide = true)]
    pub case: Option<String>,
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
    /// A directory of models, `DIR/<model>/<version>/`, or its URL in an object store; may be given several times
    #[arg(long, value_name = "DIR", visible_alias = "model_repository", value_parser = Location::parse, help_heading = "Models")]
    pub model_repository: Vec<Location>,

    /// The name of the model at --model-base-path
    #[arg(
        long,
        value_name = "NAME",
        alias = "model_name",
        default_value = "default",
        help_heading = "Models"
    )]
    pub model_name: String,

    /// One model's directory, `PATH/<version>/`, or its URL in an object store
    #[arg(long, value_name = "PATH", alias = "model_base_path", value_parser = Location::parse, help_heading = "Models")]
    pub model_base_path: Option<Location>,

    /// A list of models, as TensorFlow Serving's model_config_list, in place of --model-base-path
    #[arg(long, value_name = "FILE", alias = "model_config_file", value_parser = parse_path, help_heading = "Models")]
    pub model_config_file: Option<PathBuf>,

    /// How often to read --model-config-file again; 0 reads it once
    #[arg(long, value_name = "TIME", alias = "model_config_file_poll_wait_seconds", default_value = "0",
        value_parser = parse_duration, help_heading = "Models")]
    pub model_config_poll_interval: Duration,

    /// A plugin's source of models, such as symlinks:directory=/srv/links, beside all others; may be given several times
    #[arg(long, value_name = "NAME[:OPTION=VALUE,...]", value_parser = parse_source, help_heading = "Models")]
    pub source: Vec<SourceEntry>,

    /// Which versions to serve: latest, latest:N, all or specific:V,V
    #[arg(long, value_name = "POLICY", default_value = "latest", value_parser = parse_policy, help_heading = "Models")]
    pub version_policy: VersionPolicy,

    /// In which order versions come and go where the model does not say: the new before the old goes, or the old goes
    /// before the new comes
    #[arg(
        long,
        value_name = "ORDER",
        value_enum,
        default_value = "availability-preserving",
        help_heading = "Models"
    )]
    pub transition: Transition,

    /// How often to look for new versions, such as 500ms; a plain number is in seconds; 0 looks once
    #[arg(long, value_name = "TIME", alias = "file_system_poll_wait_seconds", default_value = "1s",
        value_parser = parse_duration, help_heading = "Models")]
    pub poll_interval: Duration,

    /// Look for new versions only every --poll-interval, and not also when the system tells of a change
    #[arg(long, help_heading = "Models")]
    pub no_watch: bool,

    /// How long a version that appeared must be unchanged before it is loaded
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration, help_heading = "Models")]
    pub settle_time: Duration,

    /// Keep a model's last versions when its directory is found without any
    #[arg(long, help_heading = "Models")]
    pub keep_last_versions: bool,

    /// How often to look for new versions at URLs; 0 looks once
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration, help_heading = "Models")]
    pub remote_poll_interval: Duration,

    /// Where files from URLs are kept. Default: `salver-models` in the directory for temporary files
    #[arg(long, value_name = "DIR", env = "SALVER_DOWNLOAD_DIR", help_heading = "Models")]
    pub download_dir: Option<PathBuf>,

    /// How much room files from URLs may take; those of versions in use stay whatever it is
    #[arg(long, value_name = "SIZE", default_value = "64GiB", value_parser = parse_bytes, help_heading = "Models")]
    pub download_bytes: usize,

    /// How many versions are loaded at once; the number of CPUs, at least 4, where it is not given
    #[arg(long, value_name = "N", alias = "num_load_threads", help_heading = "Models")]
    pub load_threads: Option<usize>,

    /// How many versions are loaded at once until the models found at start are loaded; four times the CPUs where it is
    /// not given
    #[arg(long, value_name = "N", alias = "num_initial_load_threads", help_heading = "Models")]
    pub initial_load_threads: Option<usize>,

    /// How many times a load is tried again that failed for a reason that may pass
    #[arg(
        long,
        value_name = "N",
        alias = "max_num_load_retries",
        default_value = "5",
        help_heading = "Models"
    )]
    pub load_retries: u32,

    /// How long to wait before the first of these times; each further wait is twice as long, up to a minute
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration, help_heading = "Models")]
    pub load_retry_wait: Duration,

    /// How much memory models may take, or `none` for no limit. Default: what the control group or the machine has
    #[arg(long, value_name = "SIZE", value_parser = parse_limit, help_heading = "Models")]
    pub model_memory: Option<MemoryLimit>,

    /// When versions are loaded: all at once, or each when it is first asked for; then those used longest ago make room
    #[arg(long, value_name = "WHEN", value_enum, default_value = "eager", help_heading = "Models")]
    pub load: LoadMode,

    /// With --load on-demand: how much memory loaded models may take together. Default: --model-memory
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, help_heading = "Models")]
    pub on_demand_memory: Option<usize>,

    /// With --load on-demand: which versions make room first
    #[arg(long, value_name = "ORDER", value_enum, default_value = "lru", help_heading = "Models")]
    pub eviction: Eviction,

    /// With --load on-demand: how long a request waits for its model to be loaded
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration, help_heading = "Models")]
    pub on_demand_wait: Duration,

    /// How much memory models may take on a device, such as gpu:0=20GiB; may be given several times
    #[arg(long, value_name = "DEVICE:N=SIZE", value_parser = parse_device_memory, help_heading = "Models")]
    pub device_memory: Vec<DeviceMemory>,

    /// Leave the files of loaded versions in the system's cache of files
    #[arg(long, help_heading = "Models")]
    pub keep_file_cache: bool,

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

    /// Run requests of all models in batches, unless a model says otherwise
    #[arg(long, value_name = "BOOL", alias = "enable_batching", num_args = 0..=1, default_missing_value = "true",
        value_parser = parse_switch, help_heading = "Batching")]
    pub enable_batching: Option<bool>,

    /// What holds for batches: a `.toml` file, or TensorFlow Serving's BatchingParameters as text
    #[arg(long, value_name = "FILE", alias = "batching_parameters_file", value_parser = parse_path, help_heading = "Batching")]
    pub batching_parameters_file: Option<PathBuf>,

    /// One of these parameters, over the file, such as latency_target=20ms or allowed_batch_sizes=1,8,32; turns batching
    /// on; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_batching, help_heading = "Batching")]
    pub batching: Vec<BatchingParameter>,

    /// Take all but the threads from `batching_params.pbtxt` in each version's directory; versions without are not batched
    #[arg(long, value_name = "BOOL", alias = "enable_per_model_batching_parameters", num_args = 0..=1,
        default_missing_value = "true", value_parser = parse_switch, help_heading = "Batching")]
    pub enable_per_model_batching_parameters: Option<bool>,

    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0", help_heading = "Network")]
    pub host: IpAddr,

    /// The port for gRPC and REST; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value = "8500", help_heading = "Network")]
    pub port: u16,

    /// A second port that answers the same; 8501 where --port is not given either, and that port is free
    #[arg(long, value_name = "PORT", alias = "rest_api_port", alias = "rest_port", help_heading = "Network")]
    pub rest_port: Option<u16>,

    /// A UNIX socket that answers the same as the ports
    #[arg(long, value_name = "PATH", alias = "grpc_socket_path", value_parser = parse_path, help_heading = "Network")]
    pub unix_socket: Option<PathBuf>,

    /// Answer tensors of TensorFlow Serving's gRPC API as bytes, which takes less time, and not in the lists of their types
    #[arg(long, value_name = "BOOL", alias = "enable_serialization_as_tensor_content", num_args = 0..=1,
        default_missing_value = "true", value_parser = parse_switch, help_heading = "Network")]
    pub tensor_content: Option<bool>,

    /// Let pages of any origin ask the REST APIs, from a browser
    #[arg(long, value_name = "BOOL", alias = "rest_api_enable_cors_support", num_args = 0..=1,
        default_missing_value = "true", value_parser = parse_switch, help_heading = "Network")]
    pub rest_any_origin: Option<bool>,

    /// The largest request, before and after decompression
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes, help_heading = "Limits")]
    pub max_request_bytes: usize,

    /// How much memory the bodies of all requests under way may take together
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes, help_heading = "Limits")]
    pub max_inflight_bytes: usize,

    /// How many connections may be open at once
    #[arg(long, value_name = "N", default_value = "4096", help_heading = "Limits")]
    pub max_connections: usize,

    /// How many runs of one version that have threads of their own go on at once; as many as CPUs, at least 2, where not given
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

/// Reads a path, which may be empty: start scripts give a flag that way that they do not mean to give.
fn parse_path(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(PathBuf::from(text))
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
