//! What the server offers its plugins.

use std::sync::Arc;

use salver_core_platform::{Batcher, unbatched};

/// What the server offers its plugins.
#[derive(Clone)]
pub struct HostServices {
    /// How many threads the pools of one plugin should have together.
    pub cpu_threads: usize,
    /// Where figures of plugins go.
    pub metrics: Arc<dyn PluginMetrics>,
    /// What opens queues for steps inside the plugins' models.
    pub batcher: Arc<dyn Batcher>,
}

/// As many threads as the machine has, no metrics and no batching.
impl Default for HostServices {
    fn default() -> Self {
        let cpu_threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cpu_threads, metrics: Arc::new(NoMetrics), batcher: Arc::clone(unbatched()) }
    }
}

impl std::fmt::Debug for HostServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostServices").field("cpu_threads", &self.cpu_threads).finish_non_exhaustive()
    }
}

/// What a figure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises: recording adds to it.
    Counter,
    /// It rises and falls: recording sets it.
    Gauge,
    /// It is a distribution: recording adds an observation.
    Histogram,
}

/// Where figures of plugins go. Called from any thread, many at once.
pub trait PluginMetrics: Send + Sync + 'static {
    /// Makes a metric of a plugin, and returns its id: the same for the same plugin and name, 0 for "not taken".
    fn register(&self, plugin: &str, kind: MetricKind, name: &str, help: &str) -> u64;

    /// Records a value for an id that `register` returned. Must not block.
    fn record(&self, id: u64, value: f64);
}

/// Takes no metric.
#[derive(Clone, Copy, Debug)]
pub struct NoMetrics;

impl PluginMetrics for NoMetrics {
    fn register(&self, _plugin: &str, _kind: MetricKind, _name: &str, _help: &str) -> u64 {
        0
    }

    fn record(&self, _id: u64, _value: f64) {}
}
