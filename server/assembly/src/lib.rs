//! Builds sources, manager and platforms from a configuration.
//!
//! This is where the crates meet: sources, ours and plugins', say which versions there should be, a stage turns each into
//! a [`Loader`](salver_core_loader::Loader) that knows the platforms, the manager loads and unloads, and
//! [`Inference`] answers from what is loaded.
//!
//! ```text
//! Sources --> ModelStage --> AspiredManager --> ServingMap --> Inference
//!    ^        (platforms,         |
//!    |         labels)            +--> Monitor --> Catalog
//! Control
//! ```
//!
//! Where versions are loaded on demand, a shelf and a manager that loads from it take the manager's place.

mod catalog;
mod control;
mod figures;
mod loader;
mod manager;
mod on_demand;
mod paced;
mod platforms;
mod report;
mod settings;
mod shelf;
mod sources;
mod stage;

pub use control::Control;
pub use platforms::Platforms;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salver_batching_session::{Pools, SubBatcher};
use salver_core_observe::{NoObserver, Observer};
use salver_core_platform::Batcher;
use salver_core_servable::{EventBus, StateObserver, Subscription};
use salver_core_status::Status;
use salver_manager_monitor::Monitor;
use salver_manager_source_object_store::CacheConfig;
use salver_plugins_host::HostServices;
use salver_plugins_isolated::Program;
use salver_server_config::ServeConfig;
use salver_server_inference::{GateOptions, Inference, ServedOptions};
use salver_server_metrics::Registry;

use crate::catalog::ServerCatalog;
use crate::figures::Figures;
use crate::loader::{Downloads, LoaderContext};
use crate::manager::Manager;
use crate::report::Report;
use crate::settings::Settings;
use crate::sources::{Sources, folders};
use crate::stage::ModelStage;

/// A server without its network side. Dropping it stops the source and unloads everything.
pub struct Assembly {
    // Dropped in this order: nothing is aspired any more, then everything is unloaded.
    control: Arc<Control>,
    manager: Manager,
    catalog: Arc<ServerCatalog>,
    inference: Arc<Inference>,
    bus: Arc<EventBus>,
}

impl Assembly {
    /// Opens the plugins, and starts loading models with them. Returns as soon as loading is under way.
    ///
    /// # Errors
    /// Where nothing can be served whatever happens: threads cannot be started, or a platform's settings are wrong; or a
    /// plugin's source is not there, or cannot be made.
    pub fn start(config: &ServeConfig, registry: Arc<Registry>) -> Result<Self, Status> {
        let metrics = Arc::new(Figures::new(Arc::clone(&registry)));
        let batcher = batcher(&registry);
        let services =
            HostServices { cpu_threads: config.cpu_threads, metrics, batcher: Arc::clone(&batcher) };
        let worker = config.worker.clone().map(|(path, arguments)| Program { path, arguments });
        let options = config.platform_options.clone();
        let platforms = Platforms::open(&config.plugin_dirs, services, options, worker)?;
        Self::assemble(config, platforms, registry, batcher)
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
        let batcher = batcher(&registry);
        Self::assemble(config, platforms, registry, batcher)
    }

    fn assemble(
        config: &ServeConfig,
        platforms: Platforms,
        registry: Arc<Registry>,
        batcher: Arc<dyn Batcher>,
    ) -> Result<Self, Status> {
        let observer: Arc<dyn Observer> = Arc::clone(&registry) as _;
        let monitor = Arc::new(Monitor::default());
        let bus = Arc::new(EventBus::new());
        let report = Report::new(Arc::clone(&monitor), Arc::clone(&observer), Arc::clone(&bus));
        let (settings, platforms) = (Arc::new(Settings::new(config)), Arc::new(platforms));
        let manager = Manager::start(config, Arc::new(report), &settings, &platforms, &monitor)?;
        let context = Arc::new(LoaderContext {
            platforms,
            settings: Arc::clone(&settings),
            served: served_options(config),
            observer: Arc::clone(&observer),
            drop_file_cache: config.loading.drop_file_cache,
            batching: config.batching.clone(),
            pools: Pools::default(),
            batcher,
            downloads: Downloads::new(CacheConfig {
                folder: config.discovery.download_dir.clone(),
                max_bytes: Some(config.discovery.download_bytes),
            }),
        });
        let stage = ModelStage::new(Arc::clone(&context), manager.target(), manager.label_setter());
        let stage = Arc::new(stage);
        let sources = Sources::start(config, &settings, &context.platforms, &stage)?;
        let catalog = ServerCatalog::start(
            Arc::clone(&monitor),
            manager.serving(),
            folders(&config.repositories),
            sources.seen(),
            manager.awaited(&stage),
            manager.when_ready(),
        )?;
        let inference = manager.inference(&catalog, observer);
        manager.measure_into(&registry);
        let control = Arc::new(Control {
            context,
            stage,
            monitor,
            manager: manager.clone(),
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

/// Works for a server that has started this process for a platform to be run in, until that server is gone.
///
/// # Errors
/// FAILED_PRECONDITION where no server has started it.
pub fn work() -> Result<(), Status> {
    // What is counted here nobody would see; figures of plugins go to the server.
    let observer = Arc::new(NoObserver) as Arc<dyn Observer>;
    salver_plugins_isolated::work(Arc::new(SubBatcher::new(Arc::new(Pools::default()), observer)))
}

/// What runs steps inside models together: in pools of their own, since a model that runs in a batch waits for its steps.
fn batcher(registry: &Arc<Registry>) -> Arc<dyn Batcher> {
    Arc::new(SubBatcher::new(Arc::new(Pools::default()), Arc::clone(registry) as Arc<dyn Observer>))
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
