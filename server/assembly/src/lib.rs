//! Builds sources, manager and platforms from a configuration.
//!
//! This is where the crates meet: the file-system source says which versions there should be, a stage turns each into
//! a [`Loader`](salver_core_loader::Loader) that knows the platforms, the manager loads and unloads, and
//! [`Inference`] answers from what is loaded.
//!
//! ```text
//! FileSystemSource --> ModelStage --> AspiredManager --> ServingMap --> Inference
//!                      (platforms)         |
//!                                          +--> Monitor --> Catalog
//! ```

mod catalog;
mod figures;
mod loader;
mod platforms;
mod report;
mod stage;

pub use platforms::Platforms;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_core_loader::Source as _;
use salver_core_observe::Observer;
use salver_core_status::Status;
use salver_manager_aspired::AspiredManager;
use salver_manager_monitor::Monitor;
use salver_manager_source_file::{
    Config as SourceConfig, FileSystemSource, ModelDir, ModelPolicy, PolicyFor,
};
use salver_plugins_host::HostServices;
use salver_server_config::{Location, ModelEntry, ModelSettings, SETTINGS_FILE, ServeConfig};
use salver_server_inference::{GateOptions, Inference, ServedOptions};
use salver_server_metrics::Registry;

use crate::catalog::ServerCatalog;
use crate::figures::Figures;
use crate::loader::{LoaderContext, ModelLoader};
use crate::report::Report;
use crate::stage::ModelStage;

/// A server without its network side. Dropping it stops the source and unloads everything.
pub struct Assembly {
    // Dropped in this order: nothing is aspired any more, then everything is unloaded.
    source: Option<FileSystemSource>,
    manager: Arc<AspiredManager<ModelLoader>>,
    catalog: Arc<ServerCatalog>,
    inference: Arc<Inference>,
}

impl Assembly {
    /// Opens the plugins, and starts loading models with them. Returns as soon as loading is under way.
    ///
    /// # Errors
    /// Where nothing can be served whatever happens: threads cannot be started.
    pub fn start(config: &ServeConfig, registry: Arc<Registry>) -> Result<Self, Status> {
        let metrics = Arc::new(Figures::new(Arc::clone(&registry)));
        let services = HostServices { cpu_threads: config.cpu_threads, metrics };
        let platforms = Platforms::open(&config.plugin_dirs, services, config.platform_options.clone());
        Self::with_platforms(config, platforms, registry)
    }

    /// The same with platforms that are there already, for an embedding program.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn with_platforms(
        config: &ServeConfig,
        platforms: Platforms,
        registry: Arc<Registry>,
    ) -> Result<Self, Status> {
        let observer: Arc<dyn Observer> = registry;
        let monitor = Arc::new(Monitor::default());
        let report = Report::new(Arc::clone(&monitor), Arc::clone(&observer));
        let manager = AspiredManager::start(salver_manager_aspired::Options {
            num_load_threads: config.loading.load_threads,
            num_unload_threads: config.loading.unload_threads,
            after_unload: Some(Arc::new(salver_server_memory::trim)),
            ..salver_manager_aspired::Options::new(Arc::new(report))
        })?;
        let context = Arc::new(LoaderContext {
            platforms,
            served: served_options(config),
            observer: Arc::clone(&observer),
        });
        let stage = Arc::new(ModelStage::new(context, Arc::clone(&manager) as _));
        let mut source = FileSystemSource::new(source_config(config));
        source.connect(Arc::clone(&stage) as _);
        let catalog = ServerCatalog::start(monitor, folders(&config.repositories), move || stage.streams())?;
        let inference = Inference::new(manager.serving(), Arc::clone(&catalog) as _, observer);
        Ok(Self { source: Some(source), manager, catalog, inference })
    }

    /// What answers requests.
    pub fn inference(&self) -> Arc<Inference> {
        Arc::clone(&self.inference)
    }

    /// Says from here on that requests should go elsewhere.
    pub fn drain(&self) {
        self.catalog.drain();
    }

    /// Unloads everything. Returns whether all of it was gone by the end of `timeout`.
    ///
    /// What was not is left to the end of the process: a load that heeds no cancellation cannot be waited for.
    pub fn shut_down(mut self, timeout: Duration) -> bool {
        self.drain();
        self.source = None;
        let all_gone = self.manager.shut_down(Instant::now() + timeout);
        if !all_gone {
            // Dropping the manager joins its threads.
            std::mem::forget(self);
        }
        all_gone
    }
}

/// Those that are folders of this machine.
fn folders(locations: &[Location]) -> Vec<PathBuf> {
    locations.iter().filter_map(Location::folder).map(Path::to_owned).collect()
}

fn served_options(config: &ServeConfig) -> ServedOptions {
    let limits = &config.limits;
    ServedOptions {
        inline_limit: limits.inline_run_limit,
        gate: GateOptions {
            max_running: limits.max_concurrent_runs,
            max_waiting: limits.max_queued_requests,
        },
    }
}

fn source_config(config: &ServeConfig) -> SourceConfig {
    let discovery = &config.discovery;
    let default_policy = ModelPolicy {
        versions: config.version_policy.clone(),
        poll_interval: discovery.poll_interval,
        keep_last: discovery.keep_last_versions,
        ..ModelPolicy::default()
    };
    SourceConfig {
        models: config.models.models.iter().filter_map(model_dir).collect(),
        repositories: folders(&config.repositories),
        policy_for: Some(policy_for(default_policy.clone())),
        default_policy,
        settle: discovery.settle_time,
        watch: discovery.watch,
    }
}

/// Where a model of the list is watched, if it is in a folder.
fn model_dir(entry: &ModelEntry) -> Option<ModelDir> {
    let versions = entry.versions.clone();
    Some(ModelDir { versions, ..ModelDir::new(entry.name.clone(), entry.base.folder()?) })
}

/// What a model's own settings say, over what the server's say.
fn policy_for(default: ModelPolicy) -> PolicyFor {
    Arc::new(move |_name, directory| {
        let settings = ModelSettings::read(directory)?;
        Ok(ModelPolicy {
            versions: settings.version_policy.unwrap_or_else(|| default.versions.clone()),
            poll_interval: settings.poll_interval.unwrap_or(default.poll_interval),
            marker: settings.complete_marker,
            keep_last: default.keep_last,
            revision: settings_revision(directory),
        })
    })
}

/// A number that changes when a model's settings file does, so that mending it mends the model.
fn settings_revision(directory: &Path) -> u64 {
    let metadata = std::fs::metadata(directory.join(SETTINGS_FILE)).ok();
    let mut hasher = DefaultHasher::new();
    metadata.map(|metadata| (metadata.len(), metadata.modified().ok())).hash(&mut hasher);
    hasher.finish()
}
