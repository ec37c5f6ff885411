//! Who loads and unloads: all that there should be, or what is asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_core_loader::SharedTarget;
use salver_core_observe::Observer;
use salver_core_resource::{Allocation, Resource};
use salver_core_servable::{ServableId, StreamName};
use salver_core_status::Status;
use salver_manager_aspired::{AspiredManager, Retry, State};
use salver_manager_basic::Hook;
use salver_manager_caching::Eviction;
use salver_manager_monitor::Monitor;
use salver_manager_serving_map::ServingMap;
use salver_server_config::{self as config, Loading, MemoryLimit, ServeConfig};
use salver_server_inference::{Inference, Served};
use salver_server_metrics::Registry;

use crate::Platforms;
use crate::catalog::{OnDemandCatalog, ServerCatalog};
use crate::loader::ModelLoader;
use crate::on_demand::OnDemand;
use crate::paced::Paced;
use crate::report::Report;
use crate::settings::Settings;
use crate::stage::{ModelStage, SetLabels};

/// Either manager, with what differs between them.
#[derive(Clone)]
pub(crate) enum Manager {
    /// Loads all versions that there should be.
    Eager(Arc<AspiredManager<ModelLoader>>),
    /// Loads versions when they are first asked for; a request waits so long for that.
    OnDemand(Arc<OnDemand>, Duration),
}

/// How many versions may wait to be loaded on demand.
const MAX_PENDING: usize = 4096;

impl Manager {
    /// # Errors
    /// Threads cannot be started.
    pub(crate) fn start(
        config: &ServeConfig,
        report: Arc<Report>,
        settings: &Arc<Settings>,
        platforms: &Arc<Platforms>,
        monitor: &Arc<Monitor>,
    ) -> Result<Self, Status> {
        let Some(on_demand) = &config.on_demand else {
            let manager = AspiredManager::start(eager_options(config, report, settings, platforms))?;
            // Until the first models are loaded no request can be disturbed.
            manager.burst_load_threads(config.loading.initial_load_threads)?;
            return Ok(Manager::Eager(manager));
        };
        let options = on_demand_options(config, on_demand, Arc::clone(&report), platforms);
        let manager = OnDemand::start(options, Arc::clone(settings), Arc::clone(monitor), report)?;
        Ok(Manager::OnDemand(manager, on_demand.wait))
    }

    /// Who is told which versions there should be.
    pub(crate) fn target(&self) -> SharedTarget<ModelLoader> {
        match self {
            Manager::Eager(manager) => Arc::clone(manager) as _,
            Manager::OnDemand(manager, _) => Arc::clone(manager) as _,
        }
    }

    /// Who is told of labels.
    pub(crate) fn label_setter(&self) -> SetLabels {
        match self {
            Manager::Eager(manager) => {
                let serving = manager.serving();
                Box::new(move |name, labels| serving.set_labels(name, labels))
            }
            Manager::OnDemand(manager, _) => {
                let manager = Arc::clone(manager);
                Box::new(move |name, labels| manager.set_labels(name, labels))
            }
        }
    }

    /// Where all loaded versions are found, if that is all there is to find.
    pub(crate) fn serving(&self) -> Arc<ServingMap<Served>> {
        match self {
            Manager::Eager(manager) => manager.serving(),
            Manager::OnDemand(..) => Arc::default(),
        }
    }

    /// Tells which streams are to be loaded before the server is ready.
    pub(crate) fn awaited(&self, stage: &Arc<ModelStage>) -> Box<dyn Fn() -> Vec<StreamName> + Send> {
        match self {
            Manager::Eager(_) => {
                let stage = Arc::clone(stage);
                Box::new(move || stage.streams())
            }
            Manager::OnDemand(manager, _) => {
                let manager = Arc::clone(manager);
                Box::new(move || manager.pinned_streams())
            }
        }
    }

    /// To be called when the server is ready.
    pub(crate) fn when_ready(&self) -> Box<dyn FnOnce() + Send> {
        match self {
            Manager::Eager(manager) => {
                let manager = Arc::downgrade(manager);
                Box::new(move || {
                    if let Some(manager) = manager.upgrade() {
                        manager.end_burst();
                    }
                })
            }
            Manager::OnDemand(..) => Box::new(|| {}),
        }
    }

    /// What answers requests.
    pub(crate) fn inference(
        &self,
        catalog: &Arc<ServerCatalog>,
        observer: Arc<dyn Observer>,
    ) -> Arc<Inference> {
        match self {
            Manager::Eager(manager) => Inference::new(manager.serving(), Arc::clone(catalog) as _, observer),
            Manager::OnDemand(manager, wait) => {
                let (inner, on_demand) = (Arc::clone(catalog), Arc::clone(manager));
                let catalog = Arc::new(OnDemandCatalog { inner, on_demand: Arc::clone(&on_demand) });
                Inference::on_demand(Arc::clone(&on_demand) as _, catalog, observer, on_demand, *wait)
            }
        }
    }

    /// Shows what it has done among the metrics.
    pub(crate) fn measure_into(&self, registry: &Arc<Registry>) {
        if let Manager::OnDemand(manager, _) = self {
            let shown_by = Arc::downgrade(registry);
            registry.refresh_by(manager.meter(shown_by));
        }
    }

    /// What was decided of a version that there should be; `None` where that is for requests to decide.
    pub(crate) fn state(&self, id: &ServableId) -> Option<Option<State>> {
        match self {
            Manager::Eager(manager) => Some(manager.state(id)),
            Manager::OnDemand(..) => None,
        }
    }

    /// Unloads everything. Returns whether all of it was gone by the deadline.
    pub(crate) fn shut_down(&self, deadline: Instant) -> bool {
        match self {
            Manager::Eager(manager) => manager.shut_down(deadline),
            Manager::OnDemand(manager, _) => manager.shut_down(deadline),
        }
    }
}

fn eager_options(
    config: &ServeConfig,
    report: Arc<Report>,
    settings: &Arc<Settings>,
    platforms: &Arc<Platforms>,
) -> salver_manager_aspired::Options {
    let loading = &config.loading;
    let (transitions, platforms) = (Arc::clone(settings), Arc::clone(platforms));
    let usual = salver_manager_aspired::Options::new(report);
    salver_manager_aspired::Options {
        policy: loading.transition.into(),
        policy_for: Some(Arc::new(move |name| transitions.transition(name))),
        num_load_threads: loading.load_threads,
        num_unload_threads: loading.unload_threads,
        retry: Retry { max_retries: loading.retries, first_wait: loading.retry_wait, ..Retry::default() },
        total_resources: total_resources(loading),
        on_load_thread: Some(step_back()),
        after_unload: Some(trim(platforms)),
        ..usual
    }
}

fn on_demand_options(
    config: &ServeConfig,
    on_demand: &config::OnDemand,
    report: Arc<Report>,
    platforms: &Arc<Platforms>,
) -> salver_manager_caching::Options {
    let loading = &config.loading;
    let mut total = total_resources(loading).unwrap_or_default();
    let main = Resource::ram();
    let limit = total.get(&main);
    // The budget is kept in one place, where it may be made by evicting.
    total.set(main, 0);
    let limit = if limit == 0 { u64::MAX } else { limit };
    let budget_bytes = on_demand.memory_bytes.unwrap_or(limit);
    tracing::info!(budget_bytes, "models are loaded when they are first asked for");
    let mut options = salver_manager_caching::Options::new(budget_bytes, report);
    options.eviction = match on_demand.eviction {
        config::Eviction::Lru => Eviction::LeastRecentlyUsed,
        config::Eviction::CostAware => Eviction::CostAware,
    };
    options.max_pending = MAX_PENDING;
    options.num_factory_threads = loading.load_threads;
    options.basic.num_load_threads = loading.load_threads;
    options.basic.num_unload_threads = loading.unload_threads;
    options.basic.total_resources = (!total.is_none()).then_some(total);
    options.basic.on_load_thread = Some(step_back());
    options.basic.after_unload = Some(trim(Arc::clone(platforms)));
    options
}

fn step_back() -> Hook {
    Arc::new(|| {
        let lowered = salver_server_memory::lower_priority();
        tracing::debug!(?lowered, "a load thread steps back");
    })
}

/// Gives memory back after an unload; where many versions are unloaded, now and then.
fn trim(platforms: Arc<Platforms>) -> Hook {
    let trimming = Paced::new("salver-trim", move || {
        platforms.trim();
        salver_server_memory::trim();
    });
    Arc::new(move || trimming.ask())
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
