//! News of versions, passed to the monitor, the metrics and the log.

use std::sync::Arc;

use salver_core_observe::{Metric, Observer};
use salver_core_servable::{ServableState, StateEvent, StateObserver};
use salver_manager_monitor::Monitor;

/// Takes the manager's news and passes it on.
pub(crate) struct Report {
    monitor: Arc<Monitor>,
    observer: Arc<dyn Observer>,
}

impl Report {
    pub(crate) fn new(monitor: Arc<Monitor>, observer: Arc<dyn Observer>) -> Self {
        Self { monitor, observer }
    }
}

impl StateObserver for Report {
    fn observe(&self, event: StateEvent) {
        // First of all: who reads in the log that a version is available finds it so.
        self.monitor.observe(event.clone());
        match &event {
            StateEvent::Version { id, state, .. } => {
                let version = id.version.to_string();
                let available =
                    || self.observer.instrument(Metric::ModelAvailable, &[id.name.as_str(), &version]);
                match state {
                    ServableState::Available => {
                        available().record(1.0);
                        tracing::info!(%id, "available");
                    }
                    ServableState::Unloading => available().record(0.0),
                    ServableState::Start | ServableState::Loading | ServableState::End => {}
                }
            }
            StateEvent::Progress { .. } => {}
            StateEvent::Stream { name, error: Some(error) } => {
                tracing::warn!(model = %name, %error, "the versions of a model cannot be told");
            }
            StateEvent::Stream { name, error: None } => {
                tracing::info!(model = %name, "the versions of a model can be told again");
            }
        }
    }
}
