//! Builds sources, manager and platforms from a configuration.
//!
//! This is where the crates meet: the file-system source says which versions there should be, a stage turns each into
//! a [`Loader`](salver_core_loader::Loader) that knows the platforms, the manager loads and unloads, and
//! [`Inference`] answers from what is loaded.
//!
//! ```text
//! Sources --> ModelStage --> AspiredManager --> ServingMap --> Inference
//!    ^        (platforms,         |
//!    |         labels)            +--> Monitor --> Catalog
//! Control
//! ```

mod catalog;
mod control;
mod figures;
mod loader;
mod platforms;
mod report;
mod settings;
mod sources;
mod stage;

pub use control::Control;
pub use platforms::Platforms;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salver_core_observe::Observer;
use salver_core_resource::Allocation;
use salver_core_servable::{EventBus, StateObserver, Subscription};
use salver_core_status::Status;
use salver_manager_aspired::{AspiredManager, Retry};
use salver_manager_monitor::Monitor;
use salver_manager_source_object_store::CacheConfig;
use salver_plugins_host::HostServices;
use salver_server_config::{Loading, MemoryLimit, ServeConfig};
use salver_server_inference::{GateOptions, Inference, ServedOptions};
use salver_server_metrics::Registry;

use crate::catalog::ServerCatalog;
use crate::figures::Figures;
use crate::loader::{Downloads, LoaderContext, ModelLoader};
use crate::report::Report;
use crate::settings::Settings;
use crate::sources::{Sources, folders};
use crate::stage::ModelStage;

/// A server without its network side. Dropping it stops the source and unloads everything.
pub struct Assembly {
    // Dropped in this order: nothing is aspired any more, then everything is unloaded.
    control: Arc<Control>,
    manager: Arc<AspiredManager<ModelLoader>>,
    catalog: Arc<ServerCatalog>,
    inference: Arc<Inference>,
    bus: Arc<EventBus>,
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
        let bus = Arc::new(EventBus::new());
        let report = Report::new(Arc::clone(&monitor), Arc::clone(&observer), Arc::clone(&bus));
        let (settings, platforms) = (Arc::new(Settings::new(config)), Arc::new(platforms));
        let options = manager_options(config, report, &settings, &platforms);
        let manager = AspiredManager::start(options)?;
        // Until the first models are loaded no request can be disturbed.
        manager.burst_load_threads(config.loading.initial_load_threads)?;
        let context = Arc::new(LoaderContext {
            platforms,
            settings: Arc::clone(&settings),
            served: served_options(config),
            observer: Arc::clone(&observer),
            drop_file_cache: config.loading.drop_file_cache,
            downloads: Downloads::new(CacheConfig {
                folder: config.discovery.download_dir.clone(),
                max_bytes: Some(config.discovery.download_bytes),
            }),
        });
        let serving = manager.serving();
        let (to_manager, labels) = (Arc::clone(&manager) as _, Arc::clone(&serving));
        let stage = Arc::new(ModelStage::new(Arc::clone(&context), to_manager, labels));
        let sources = Sources::start(config, &settings, &stage)?;
        let catalog = ServerCatalog::start(
            Arc::clone(&monitor),
            Arc::clone(&serving),
            folders(&config.repositories),
            Arc::clone(&stage),
            {
                let manager = Arc::downgrade(&manager);
                move || {
                    if let Some(manager) = manager.upgrade() {
                        manager.end_burst();
                    }
                }
            },
        )?;
        let inference = Inference::new(serving, Arc::clone(&catalog) as _, observer);
        let control = Arc::new(Control {
            context,
            stage,
            monitor,
            manager: Arc::clone(&manager),
            sources: Mutex::new(Some(sources)),
            stopped: Condvar::new(),
            list: Mutex::new(config.models.clone()),
        });
        if let Some(file) = config.model_list_file.clone() {
            control.follow(file)?;
        }
        Ok(Self { control, manager, catalog, inference, bus })
    }

    /// What changes which models are served.
    pub fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    /// What answers requests.
    pub fn inference(&self) -> Arc<Inference> {
        Arc::clone(&self.inference)
    }

    /// Tells `subscriber` where versions stand, from now on until the subscription is dropped. It is called on the
    /// manager's threads: it must return at once.
    pub fn subscribe(&self, subscriber: Arc<dyn StateObserver>) -> Subscription {
        self.bus.subscribe(subscriber)
    }

    /// Says from here on that requests should go elsewhere.
    pub fn drain(&self) {
        self.catalog.drain();
    }

    /// Unloads everything. Returns whether all of it was gone by the end of `timeout`.
    ///
    /// What was not is left to the end of the process: a load that heeds no cancellation cannot be waited for.
    pub fn shut_down(self, timeout: Duration) -> bool {
        self.drain();
        self.control.stop();
        let all_gone = self.manager.shut_down(Instant::now() + timeout);
        if !all_gone {
            // Dropping the manager joins its threads.
            std::mem::forget(self);
        }
        all_gone
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        // Others may hold on to the control.
        self.control.stop();
    }
}

fn manager_options(
    config: &ServeConfig,
    report: Report,
    settings: &Arc<Settings>,
    platforms: &Arc<Platforms>,
) -> salver_manager_aspired::Options {
    let loading = &config.loading;
    let (transitions, platforms) = (Arc::clone(settings), Arc::clone(platforms));
    let usual = salver_manager_aspired::Options::new(Arc::new(report));
    salver_manager_aspired::Options {
        policy: loading.transition.into(),
        policy_for: Some(Arc::new(move |name| transitions.transition(name))),
        num_load_threads: loading.load_threads,
        num_unload_threads: loading.unload_threads,
        retry: Retry { max_retries: loading.retries, first_wait: loading.retry_wait, ..Retry::default() },
        total_resources: total_resources(loading),
        on_load_thread: Some(Arc::new(|| {
            let lowered = salver_server_memory::lower_priority();
            tracing::debug!(?lowered, "a load thread steps back");
        })),
        after_unload: Some(Arc::new(move || {
            platforms.trim();
            salver_server_memory::trim();
        })),
        ..usual
    }
}

/// What models may take together, as far as it is limited.
fn total_resources(loading: &Loading) -> Option<Allocation> {
    let there_is = || {
        let limit = salver_server_memory::memory_limit()?;
        tracing::info!(bytes = limit.bytes, source = %limit.source.display(), "models may take as much memory as there is");
        Some(limit.bytes)
    };
    let bytes = match loading.memory {
        Some(MemoryLimit::Bytes(bytes)) => Some(bytes),
        Some(MemoryLimit::None) => None,
        None => there_is(),
    };
    let mut total = bytes.map(Allocation::ram_bytes).unwrap_or_default();
    for device in &loading.device_memory {
        total.set(device.resource.clone(), device.bytes);
    }
    (!total.is_none()).then_some(total)
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
