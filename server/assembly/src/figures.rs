//! Figures that plugins measure.

use std::sync::Arc;

use parking_lot::RwLock;
use salver_core_observe::{Instrument, Kind};
use salver_plugins_host::{MetricKind, PluginMetrics};
use salver_server_metrics::Registry;

/// Registers plugins' figures as `salver_plugin_<plugin>_<name>`. An id is a position, counted from 1.
pub(crate) struct Figures {
    registry: Arc<Registry>,
    by_id: RwLock<Vec<Arc<dyn Instrument>>>,
}

impl Figures {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, by_id: RwLock::default() }
    }
}

impl PluginMetrics for Figures {
    fn register(&self, plugin: &str, kind: MetricKind, name: &str, help: &str) -> u64 {
        let kind = match kind {
            MetricKind::Counter => Kind::Counter,
            MetricKind::Gauge => Kind::Gauge,
            MetricKind::Histogram => Kind::Seconds,
        };
        let Some(instrument) = self.registry.custom(kind, &format!("salver_plugin_{plugin}_{name}"), help)
        else {
            tracing::warn!(plugin, name, "there are too many figures of plugins, this one is not taken");
            return 0;
        };
        let mut by_id = self.by_id.write();
        // The registry gives the same instrument for the same name.
        if let Some(position) = by_id.iter().position(|known| Arc::ptr_eq(known, &instrument)) {
            return position as u64 + 1;
        }
        by_id.push(instrument);
        by_id.len() as u64
    }

    fn record(&self, id: u64, value: f64) {
        let position = usize::try_from(id).unwrap_or(0).wrapping_sub(1);
        if let Some(instrument) = self.by_id.read().get(position) {
            instrument.record(value);
        }
    }
}
