//! The validated configuration of a server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser as _;
use salver_core_platform::Options;
use salver_manager_source_file::VersionPolicy;

use crate::args::{Cli, Command, ServeArgs};
use crate::batching::BatchingConfig;
use crate::memory::{DeviceMemory, MemoryLimit};
use crate::model_list::{Location, ModelEntry, ModelList};
use crate::on_demand::{LoadMode, OnDemand};
use crate::options::by_platform;
use crate::policy::Transition;
use crate::source::SourceEntry;

/// Everything a server needs to know to start.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Where directories of models are.
    pub repositories: Vec<Location>,
    /// Models by name.
    pub models: ModelList,
    /// Where `models` were read from, if from a file that is to be read again.
    pub model_list_file: Option<ModelListFile>,
    /// Sources of plugins.
    pub sources: Vec<SourceEntry>,
    /// Which versions of a model to serve where the model does not say.
    pub version_policy: VersionPolicy,
    /// How versions appear.
    pub discovery: Discovery,
    /// How versions are loaded and unloaded.
    pub loading: Loading,
    /// How versions are loaded when they are first asked for; `None`: they are loaded as soon as they are there.
    pub on_demand: Option<OnDemand>,
    /// Where platform plugins are.
    pub plugin_dirs: Vec<PathBuf>,
    /// Settings by platform.
    pub platform_options: BTreeMap<String, Options>,
    /// The program that is started, and its arguments, where a platform is to be run in a process of its own: one that calls
    /// the server's `work`. `None`: no platform is.
    pub worker: Option<(PathBuf, Vec<OsString>)>,
    /// How requests are batched.
    pub batching: BatchingConfig,
    /// How many threads the platforms' own pools may use.
    pub cpu_threads: usize,
    /// Where to listen.
    pub listen: Listen,
    /// How requests are answered.
    pub answers: Answers,
    /// What requests may take.
    pub limits: Limits,
    /// What to tell the person who started the server.
    pub notes: Vec<String>,
}

/// A list of models that is read again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelListFile {
    /// The file.
    pub path: PathBuf,
    /// How often to read it.
    pub poll_interval: Duration,
}

/// How versions appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// How often to look for versions in folders; zero looks once.
    pub poll_interval: Duration,
    /// Whether to look also when the system tells of a change.
    pub watch: bool,
    /// How long a version that appeared must be unchanged before it is loaded.
    pub settle_time: Duration,
    /// Whether a model keeps its last versions when its folder is found without any.
    pub keep_last_versions: bool,
    /// How often to look for versions at URLs; zero looks once.
    pub remote_poll_interval: Duration,
    /// Where files from URLs are kept.
    pub download_dir: PathBuf,
    /// How many bytes they may take there.
    pub download_bytes: u64,
}

/// How versions are loaded and unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loading {
    /// In which order versions come and go where the model does not say.
    pub transition: Transition,
    /// How many versions are loaded at once.
    pub load_threads: usize,
    /// How many versions are loaded at once until those found at start are loaded.
    pub initial_load_threads: usize,
    /// How many versions are unloaded at once.
    pub unload_threads: usize,
    /// How many times a load is tried again that failed for a reason that may pass.
    pub retries: u32,
    /// How long to wait before the first of these times.
    pub retry_wait: Duration,
    /// How much memory models may take; `None` for what there is.
    pub memory: Option<MemoryLimit>,
    /// How much memory models may take on devices.
    pub device_memory: Vec<DeviceMemory>,
    /// Whether the files of loaded versions are dropped from the system's cache of files.
    pub drop_file_cache: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub host: IpAddr,
    /// The port; 0 for any that is free.
    pub port: u16,
    /// The second port.
    pub rest_port: RestPort,
    /// The path of a UNIX socket, which answers the same as the ports.
    pub unix_socket: Option<PathBuf>,
}

/// The second port, which answers the same as the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestPort {
    /// There is none.
    None,
    /// This one, if it is free; nobody asked for it by number.
    IfFree(u16),
    /// This one.
    Wanted(u16),
}

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Whether tensors of TensorFlow Serving's gRPC API are answered as bytes, rather than in the lists of their types.
    pub tensor_content: bool,
    /// Whether pages of any origin may ask the REST APIs, from a browser.
    pub any_origin: bool,
}

/// What requests may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request in bytes, before and after decompression.
    pub max_request_bytes: usize,
    /// The memory in bytes that the bodies of all requests under way may take together.
    pub max_inflight_bytes: usize,
    /// How many connections may be open at once.
    pub max_connections: usize,
    /// How many runs of one version that have threads of their own go on at once.
    pub max_concurrent_runs: usize,
    /// How many requests for one version may wait for such a run.
    pub max_queued_requests: usize,
    /// A run that is expected to take no longer runs on the thread that received the request.
    pub inline_run_limit: Duration,
    /// How long a REST request may take.
    pub rest_timeout: Option<Duration>,
    /// How long requests under way may take to finish after the signal to stop.
    pub drain_timeout: Duration,
}

/// TensorFlow Serving's ports.
const DEFAULT_PORT: u16 = 8500;
const DEFAULT_REST_PORT: u16 = 8501;

impl ServeConfig {
    /// What flags of `salver serve` ask for: for a program that embeds the server, and wants what it leaves out to be as
    /// it is there.
    ///
    /// # Errors
    /// A sentence that names the flag.
    pub fn from_flags<F: Into<OsString>>(flags: impl IntoIterator<Item = F>) -> Result<Self, String> {
        let words = ["salver", "serve"].into_iter().map(OsString::from);
        let cli = Cli::try_parse_from(words.chain(flags.into_iter().map(Into::into)))
            .map_err(|error| error.to_string())?;
        match cli.command {
            Command::Serve(args) => args.validate(),
            other => Err(format!("{other:?} is no flag of `salver serve`")),
        }
    }
}

impl ServeArgs {
    /// The configuration these flags ask for.
    ///
    /// # Errors
    /// A sentence that names the flag.
    pub fn validate(&self) -> Result<ServeConfig, String> {
        let notes = self.compat.check()?;
        if self.model_name.is_empty() || self.model_name.contains('/') {
            return Err(format!("--model-name `{}` is empty or has a slash", self.model_name));
        }
        let models = self.models()?;
        if self.model_repository.is_empty() && models.is_none() && self.source.is_empty() {
            let wanted =
                "--model-repository DIR, --model-base-path PATH, --model-config-file FILE or --source NAME";
            return Err(format!("no models: give {wanted}"));
        }
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let at_least_one = |flag: &str, value: usize| match value {
            0 => Err(format!("--{flag} is 0, wanted 1 or more")),
            value => Ok(value),
        };
        let rest_timeout = match self.compat.rest_api_timeout_in_ms {
            Some(milliseconds) => Duration::from_millis(milliseconds),
            None => self.rest_timeout,
        };
        // 0 is TensorFlow Serving's "as many as you like".
        let or_default =
            |value: Option<usize>, default: usize| value.filter(|value| *value > 0).unwrap_or(default);
        Ok(ServeConfig {
            repositories: self.model_repository.clone(),
            models: models.unwrap_or_default(),
            model_list_file: self.model_list_file(),
            sources: self.source.clone(),
            version_policy: self.version_policy.clone(),
            discovery: Discovery {
                poll_interval: self.poll_interval,
                watch: !self.no_watch,
                settle_time: self.settle_time,
                keep_last_versions: self.keep_last_versions,
                remote_poll_interval: self.remote_poll_interval,
                download_dir: self
                    .download_dir
                    .clone()
                    .unwrap_or_else(|| std::env::temp_dir().join("salver-models")),
                download_bytes: self.download_bytes as u64,
            },
            loading: Loading {
                transition: self.transition,
                load_threads: or_default(self.load_threads, cpus.max(4)),
                initial_load_threads: or_default(self.initial_load_threads, 4 * cpus),
                unload_threads: self.unload_threads.max(1),
                retries: self.load_retries,
                retry_wait: self.compat.load_retry_wait().unwrap_or(self.load_retry_wait),
                memory: self.model_memory,
                device_memory: self.device_memory.clone(),
                drop_file_cache: self.compat.flush_filesystem_caches.unwrap_or(!self.keep_file_cache),
            },
            on_demand: self.on_demand(),
            plugin_dirs: self.plugin_dirs(),
            platform_options: by_platform(
                self.compat.platform_options().into_iter().chain(self.platform_option.clone()),
            ),
            worker: None,
            batching: self.batching()?,
            cpu_threads: or_default(self.cpu_threads, cpus),
            listen: Listen {
                host: self.host,
                port: self.port,
                rest_port: self.rest_port()?,
                unix_socket: self.unix_socket.clone().filter(|path| !path.as_os_str().is_empty()),
            },
            answers: Answers {
                tensor_content: self.tensor_content.unwrap_or(false),
                any_origin: self.rest_any_origin.unwrap_or(false),
            },
            limits: Limits {
                max_request_bytes: at_least_one("max-request-bytes", self.max_request_bytes)?,
                max_inflight_bytes: at_least_one("max-inflight-bytes", self.max_inflight_bytes)?,
                max_connections: at_least_one("max-connections", self.max_connections)?,
                max_concurrent_runs: or_default(self.max_concurrent_runs, cpus.max(2)),
                max_queued_requests: self.max_queued_requests,
                inline_run_limit: self.inline_run_limit,
                rest_timeout: (!rest_timeout.is_zero()).then_some(rest_timeout),
                drain_timeout: self.drain_timeout,
            },
            notes,
        })
    }

    fn on_demand(&self) -> Option<OnDemand> {
        match self.load {
            LoadMode::Eager => None,
            LoadMode::OnDemand => Some(OnDemand {
                memory_bytes: self.on_demand_memory.map(|bytes| bytes as u64),
                eviction: self.eviction,
                wait: self.on_demand_wait,
            }),
        }
    }

    /// The models given by name; `None` where none is.
    fn models(&self) -> Result<Option<ModelList>, String> {
        // As in TensorFlow Serving, where the file counts if both are given. No file is asked for by an empty name.
        if let Some(path) = self.model_config_file.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            return ModelList::read(path)
                .map(Some)
                .map_err(|status| format!("--model-config-file: {status}"));
        }
        let Some(base) = &self.model_base_path else { return Ok(None) };
        let name = self.model_name.as_str().into();
        let entry =
            ModelEntry { name, base: base.clone(), platform: None, versions: None, labels: BTreeMap::new() };
        Ok(Some(ModelList { models: vec![entry] }))
    }

    fn model_list_file(&self) -> Option<ModelListFile> {
        let path = self.model_config_file.clone().filter(|path| !path.as_os_str().is_empty())?;
        let poll_interval = self.model_config_poll_interval;
        (!poll_interval.is_zero()).then_some(ModelListFile { path, poll_interval })
    }

    fn rest_port(&self) -> Result<RestPort, String> {
        match self.rest_port {
            Some(0) => Ok(RestPort::None),
            Some(port) if port == self.port => Err(format!("--rest-port and --port are both {port}")),
            Some(port) => Ok(RestPort::Wanted(port)),
            None if self.port == DEFAULT_PORT => Ok(RestPort::IfFree(DEFAULT_REST_PORT)),
            None => Ok(RestPort::None),
        }
    }

    /// The directories given, or `plugins` beside the directory that holds this program.
    fn plugin_dirs(&self) -> Vec<PathBuf> {
        if !self.plugin_dir.is_empty() {
            return self.plugin_dir.clone();
        }
        let beside_bin = || {
            let program = std::env::current_exe().ok()?.canonicalize().ok()?;
            Some(program.parent()?.parent()?.join("plugins"))
        };
        beside_bin().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_demand::Eviction;
    use std::path::Path;

    fn validate(flags: &[&str]) -> Result<ServeConfig, String> {
        ServeConfig::from_flags(flags)
    }

    #[test]
    fn a_directory_of_models_is_all_it_takes() {
        let config = validate(&["--model-repository", "/models"]).unwrap();
        assert_eq!(config.repositories, [Location::Folder("/models".into())]);
        assert_eq!((config.listen.port, config.listen.rest_port), (8500, RestPort::IfFree(8501)));
        assert_eq!(config.limits.max_request_bytes, 64 << 20);
        assert_eq!(config.discovery.poll_interval, Duration::from_secs(1));
    }

    #[test]
    fn versions_are_loaded_on_demand_where_that_is_asked_for() {
        assert_eq!(validate(&["--model-repository=/m"]).unwrap().on_demand, None);
        let flags =
            ["--model-repository=/m", "--load=on-demand", "--on-demand-memory=2GiB", "--eviction=cost-aware"];
        let on_demand = validate(&flags).unwrap().on_demand.unwrap();
        let (memory_bytes, wait) = (Some(2 << 30), Duration::from_secs(60));
        assert_eq!(on_demand, OnDemand { memory_bytes, eviction: Eviction::CostAware, wait });
    }

    #[test]
    fn tensorflow_serving_s_spellings_mean_the_same() {
        let config = validate(&[
            "--port=9000",
            "--rest_api_port=9001",
            "--model_name=half_plus_two",
            "--model_base_path=/models/half_plus_two",
            "--file_system_poll_wait_seconds=2",
            "--num_load_threads=3",
            "--rest_api_timeout_in_ms=1500",
            "--enable_model_warmup=false",
            "--flush_filesystem_caches",
            "--grpc_socket_path=/run/models.sock",
            "--rest_api_enable_cors_support=true",
            "--enable_serialization_as_tensor_content",
        ])
        .unwrap();
        let [model] = config.models.models.as_slice() else { panic!("{:?}", config.models) };
        assert_eq!(model.name.as_str(), "half_plus_two");
        assert_eq!(model.base, Location::Folder("/models/half_plus_two".into()));
        assert!(config.loading.drop_file_cache);
        assert_eq!((config.listen.port, config.listen.rest_port), (9000, RestPort::Wanted(9001)));
        assert_eq!(config.listen.unix_socket.as_deref(), Some(Path::new("/run/models.sock")));
        assert_eq!(config.answers, Answers { tensor_content: true, any_origin: true });
        assert_eq!(config.discovery.poll_interval, Duration::from_secs(2));
        assert_eq!(config.loading.load_threads, 3);
        assert_eq!(config.limits.rest_timeout, Some(Duration::from_millis(1500)));
        assert_eq!(config.notes.len(), 1);
    }

    #[test]
    fn of_a_flag_given_twice_the_last_counts_and_of_a_list_both() {
        let config = validate(&[
            "--port=8500",
            "--rest_api_port=8501",
            "--model_name=model",
            "--enable_batching",
            "--rest-port=9001",
            "--port=9000",
            "--model_name=half_plus_two",
            "--enable_batching=false",
            "--model-repository=/a",
            "--model_repository=/b",
            "--model_base_path=/models/half_plus_two",
        ])
        .unwrap();
        assert_eq!((config.listen.port, config.listen.rest_port), (9000, RestPort::Wanted(9001)));
        assert_eq!(config.models.models[0].name.as_str(), "half_plus_two");
        assert_eq!(config.repositories, [Location::Folder("/a".into()), Location::Folder("/b".into())]);
    }

    #[test]
    fn every_flag_of_tensorflow_serving_is_known() {
        let flags = [
            "--port=0",
            "--grpc_socket_path=",
            "--rest_api_port=0",
            "--rest_api_num_threads=8",
            "--rest_api_timeout_in_ms=30000",
            "--rest_api_enable_cors_support=false",
            "--model_name=default",
            "--model_base_path=/models/default",
            "--model_config_file=",
            "--model_config_file_poll_wait_seconds=0",
            "--num_initial_load_threads=0",
            "--file_system_poll_wait_seconds=1",
            "--num_load_threads=0",
            "--num_unload_threads=0",
            "--max_num_load_retries=5",
            "--load_retry_interval_micros=60000000",
            "--flush_filesystem_caches=true",
            "--allow_version_labels_for_unavailable_models=false",
            "--enable_batching=false",
            "--batching_parameters_file=",
            "--enable_per_model_batching_parameters=false",
            "--tensorflow_session_parallelism=0",
            "--tensorflow_intra_op_parallelism=0",
            "--tensorflow_inter_op_parallelism=0",
            "--tensorflow_session_config_file=",
            "--per_process_gpu_memory_fraction=0",
            "--saved_model_tags=serve",
            "--platform_config_file=",
            "--use_alts_credentials=false",
            "--ssl_config_file=",
            "--grpc_channel_arguments=",
            "--grpc_max_threads=8",
            "--enable_model_warmup=true",
            "--num_request_iterations_for_warmup=0",
            "--monitoring_config_file=",
            "--remove_unused_fields_from_bundle_metagraph=true",
            "--prefer_tflite_model=false",
            "--num_tflite_pools=8",
            "--num_tflite_interpreters_per_pool=1",
            "--enable_signature_method_name_check=false",
            "--xla_cpu_compilation_enabled=false",
            "--xla_gpu_compilation_enabled=false",
            "--enable_profiler=true",
            "--thread_pool_factory_config_file=",
            "--mixed_precision=",
            "--skip_initialize_tpu=false",
            "--enable_grpc_healthcheck_service=false",
            "--enable_serialization_as_tensor_content=false",
        ];
        validate(&flags).unwrap();
        let version = validate(&["--version"]).unwrap_err();
        assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_flag_s_name() {
        for (flags, name) in [
            (&[][..], "--model-repository"),
            (&["--model-repository=/m", "--port=9", "--rest-port=9"], "--rest-port"),
            (&["--model-repository=/m", "--max-request-bytes=0"], "--max-request-bytes"),
            (&["--model-repository=/m", "--max-request-bytes=big"], "--max-request-bytes"),
            (&["--model-repository=/m", "--version-policy=newest"], "--version-policy"),
            (&["--model-repository=/m", "--poll-interval=-1"], "--poll-interval"),
            (&["--model_config_file=/no/such/file"], "/no/such/file"),
            (&["--model-repository=/m", "--model-memory=all"], "--model-memory"),
            (&["--model-repository=/m", "--load=lazy"], "--load"),
            (&["--model-repository=/m", "--device-memory=gpu"], "--device-memory"),
            (&["--model-repository=/m", "--transition=fast"], "--transition"),
            (&["--source=a=1"], "--source"),
            (&["--model-repository=/m", "--platform-option=x"], "--platform-option"),
            (&["--model-repository=/m", "--no-such-flag"], "--no-such-flag"),
            (&["--model_base_path=/m", "--model_name=a/b"], "--model-name"),
        ] {
            let error = validate(flags).unwrap_err();
            assert!(error.contains(name), "{flags:?}: {error}");
        }
    }
}
