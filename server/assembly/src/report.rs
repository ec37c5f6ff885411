//! News of versions, passed to the monitor, the metrics, the log and whoever subscribed.

use std::sync::Arc;

use salver_core_observe::{Metric, Observer};
use salver_core_servable::{
    EventBus, LoadProgress, LoadTimings, ServableId, ServableState, StateEvent, StateObserver,
};
use salver_manager_monitor::Monitor;

/// Takes the manager's news and passes it on.
pub(crate) struct Report {
    monitor: Arc<Monitor>,
    observer: Arc<dyn Observer>,
    bus: Arc<EventBus>,
}

impl Report {
    pub(crate) fn new(monitor: Arc<Monitor>, observer: Arc<dyn Observer>, bus: Arc<EventBus>) -> Self {
        Self { monitor, observer, bus }
    }

    /// Records how long the parts of a load took, once it is over.
    fn time(&self, id: &ServableId, progress: &LoadProgress) {
        if progress.phase.is_some() {
            return;
        }
        let LoadTimings { fetch, load, warm_up } = progress.timings;
        let version = id.version.to_string();
        for (phase, took) in [("fetch", fetch), ("load", load), ("warm_up", warm_up)] {
            if let Some(took) = took {
                let labels = [id.name.as_str(), &version, phase];
                self.observer.instrument(Metric::LoadPhaseDuration, &labels).record(took.as_secs_f64());
            }
        }
    }
}

impl StateObserver for Report {
    fn observe(&self, event: StateEvent) {
        // First of all: who reads in the log that a version is available finds it so.
        self.monitor.observe(event.clone());
        match &event {
            StateEvent::Version { id, state, error, .. } => {
                let version = id.version.to_string();
                let available =
                    || self.observer.instrument(Metric::ModelAvailable, &[id.name.as_str(), &version]);
                match state {
                    ServableState::Available => {
                        available().record(1.0);
                        tracing::info!(%id, "available");
                    }
                    ServableState::Unloading => available().record(0.0),
                    ServableState::Loading => {
                        if let Some(error) = error {
                            tracing::warn!(%id, %error, "will be loaded again");
                        }
                    }
                    ServableState::End => {
                        if let Some(error) = error {
                            tracing::error!(%id, code = error.code().name(), %error, "failed");
                        }
                    }
                    ServableState::Start => {}
                }
            }
            StateEvent::Progress { id, progress } => self.time(id, progress),
            StateEvent::Stream { name, error: Some(error) } => {
                tracing::warn!(model = %name, %error, "the versions of a model cannot be told");
            }
            StateEvent::Stream { name, error: None } => {
                tracing::info!(model = %name, "the versions of a model can be told again");
            }
        }
        self.bus.observe(event);
    }
}
