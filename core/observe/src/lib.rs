//! Names of what is measured, and the observer it is reported to.
//!
//! Every metric is a variant of [`Metric`], so that a name is written once and the book's list can be made from it.
//! Whoever measures asks its [`Observer`] for an [`Instrument`] once, keeps it, and records into it from then on.

use std::sync::Arc;

/// What is measured.
///
/// Names read `salver_<thing>_<unit>[_total]`. Labels are bounded: a model's name is one that is or was loaded, never
/// one that a client made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Requests answered, by outcome.
    Requests,
    /// Time from a request's tensors being known to its answer's.
    RequestDuration,
    /// Time a model ran.
    RunDuration,
    /// Requests that wait for a thread to run on.
    QueuedRequests,
    /// Requests for models that are not there, or not yet.
    UnresolvedRequests,
    /// Whether a version answers requests: 1 or 0.
    ModelAvailable,
    /// Loads that ended, by outcome.
    Loads,
    /// Time a load took, successful or not.
    LoadDuration,
    /// Time a part of a load took.
    LoadPhaseDuration,
    /// Requests that found their model loaded, where models are loaded on demand.
    ModelCacheHits,
    /// Requests whose model was not loaded, where models are loaded on demand.
    ModelCacheMisses,
    /// Requests answered with a failure of before, where models are loaded on demand.
    ModelCacheRefusals,
    /// Versions that made room for others, where models are loaded on demand.
    ModelCacheEvictions,
    /// Memory that versions take which are loaded, being loaded or being unloaded on demand.
    ModelCacheBytes,
    /// Memory that versions loaded on demand may take together.
    ModelCacheBudgetBytes,
    /// Versions that are loaded, where models are loaded on demand.
    ModelCacheVersions,
    /// Requests that wait for their model to be loaded.
    ModelCacheWaiting,
    /// Rows of the batches that were run, padding counted; as many observations as batches.
    BatchRows,
    /// Rows of a batch, padding left out, over the most that a batch may have.
    BatchFill,
    /// Rows that were run as padding.
    BatchPaddingRows,
    /// Elements of inputs that were run as padding, in rows of padding and in rows made longer.
    BatchPaddingElements,
    /// Time requests waited for their batch to be run.
    BatchQueueDuration,
    /// Requests that wait for their batch.
    BatchQueuedRequests,
    /// Requests that were not run, by reason: cancelled, expired, timeout, full, too_large.
    BatchDrops,
}

/// How a metric's values add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sum that only grows; recording adds.
    Counter,
    /// A level; recording sets it.
    Gauge,
    /// A distribution of seconds; recording adds one observation.
    Seconds,
    /// A distribution of whole numbers, 1 or more; recording adds one observation.
    Sizes,
    /// A distribution of parts of 1; recording adds one observation.
    Ratio,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 24] = [
        Metric::Requests,
        Metric::RequestDuration,
        Metric::RunDuration,
        Metric::QueuedRequests,
        Metric::UnresolvedRequests,
        Metric::ModelAvailable,
        Metric::Loads,
        Metric::LoadDuration,
        Metric::LoadPhaseDuration,
        Metric::ModelCacheHits,
        Metric::ModelCacheMisses,
        Metric::ModelCacheRefusals,
        Metric::ModelCacheEvictions,
        Metric::ModelCacheBytes,
        Metric::ModelCacheBudgetBytes,
        Metric::ModelCacheVersions,
        Metric::ModelCacheWaiting,
        Metric::BatchRows,
        Metric::BatchFill,
        Metric::BatchPaddingRows,
        Metric::BatchPaddingElements,
        Metric::BatchQueueDuration,
        Metric::BatchQueuedRequests,
        Metric::BatchDrops,
    ];

    /// The name, without the suffix that an exposition format adds to counters.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::Requests => "salver_requests",
            Metric::RequestDuration => "salver_request_duration_seconds",
            Metric::RunDuration => "salver_run_duration_seconds",
            Metric::QueuedRequests => "salver_queued_requests",
            Metric::UnresolvedRequests => "salver_unresolved_requests",
            Metric::ModelAvailable => "salver_model_available",
            Metric::Loads => "salver_loads",
            Metric::LoadDuration => "salver_load_duration_seconds",
            Metric::LoadPhaseDuration => "salver_load_phase_duration_seconds",
            Metric::ModelCacheHits => "salver_model_cache_hits",
            Metric::ModelCacheMisses => "salver_model_cache_misses",
            Metric::ModelCacheRefusals => "salver_model_cache_refusals",
            Metric::ModelCacheEvictions => "salver_model_cache_evictions",
            Metric::ModelCacheBytes => "salver_model_cache_bytes",
            Metric::ModelCacheBudgetBytes => "salver_model_cache_budget_bytes",
            Metric::ModelCacheVersions => "salver_model_cache_versions",
            Metric::ModelCacheWaiting => "salver_model_cache_waiting",
            Metric::BatchRows => "salver_batch_rows",
            Metric::BatchFill => "salver_batch_fill_ratio",
            Metric::BatchPaddingRows => "salver_batch_padding_rows",
            Metric::BatchPaddingElements => "salver_batch_padding_elements",
            Metric::BatchQueueDuration => "salver_batch_queue_duration_seconds",
            Metric::BatchQueuedRequests => "salver_batch_queued_requests",
            Metric::BatchDrops => "salver_batch_drops",
        }
    }

    /// What it means, in a sentence.
    pub const fn help(self) -> &'static str {
        match self {
            Metric::Requests => "Requests answered, by outcome",
            Metric::RequestDuration => "Time from a request's tensors being known to its answer's",
            Metric::RunDuration => "Time a model ran",
            Metric::QueuedRequests => "Requests that wait for a thread to run on",
            Metric::UnresolvedRequests => "Requests for models that are not there, or not yet",
            Metric::ModelAvailable => "Whether a version answers requests",
            Metric::Loads => "Loads that ended, by outcome",
            Metric::LoadDuration => "Time a load took, successful or not",
            Metric::LoadPhaseDuration => "Time a part of a load took",
            Metric::ModelCacheHits => {
                "Requests that found their model loaded, where models are loaded on demand"
            }
            Metric::ModelCacheMisses => {
                "Requests whose model was not loaded, where models are loaded on demand"
            }
            Metric::ModelCacheRefusals => {
                "Requests answered with a failure of before, where models are loaded on demand"
            }
            Metric::ModelCacheEvictions => {
                "Versions that made room for others, where models are loaded on demand"
            }
            Metric::ModelCacheBytes => {
                "Memory that versions take which are loaded, being loaded or being unloaded on demand"
            }
            Metric::ModelCacheBudgetBytes => "Memory that versions loaded on demand may take together",
            Metric::ModelCacheVersions => "Versions that are loaded, where models are loaded on demand",
            Metric::ModelCacheWaiting => "Requests that wait for their model to be loaded",
            Metric::BatchRows => "Rows of the batches that were run, padding counted",
            Metric::BatchFill => "Rows of a batch, padding left out, over the most that a batch may have",
            Metric::BatchPaddingRows => "Rows that were run as padding",
            Metric::BatchPaddingElements => "Elements of inputs that were run as padding",
            Metric::BatchQueueDuration => "Time requests waited for their batch to be run",
            Metric::BatchQueuedRequests => "Requests that wait for their batch",
            Metric::BatchDrops => "Requests that were not run, by reason",
        }
    }

    /// How its values add up.
    pub const fn kind(self) -> Kind {
        match self {
            Metric::Requests
            | Metric::UnresolvedRequests
            | Metric::Loads
            | Metric::ModelCacheHits
            | Metric::ModelCacheMisses
            | Metric::ModelCacheRefusals
            | Metric::ModelCacheEvictions
            | Metric::BatchPaddingRows
            | Metric::BatchPaddingElements
            | Metric::BatchDrops => Kind::Counter,
            Metric::QueuedRequests
            | Metric::ModelAvailable
            | Metric::ModelCacheBytes
            | Metric::ModelCacheBudgetBytes
            | Metric::ModelCacheVersions
            | Metric::ModelCacheWaiting
            | Metric::BatchQueuedRequests => Kind::Gauge,
            Metric::RequestDuration
            | Metric::RunDuration
            | Metric::LoadDuration
            | Metric::LoadPhaseDuration
            | Metric::BatchQueueDuration => Kind::Seconds,
            Metric::BatchRows => Kind::Sizes,
            Metric::BatchFill => Kind::Ratio,
        }
    }

    /// The names of its labels, in the order in which [`Observer::instrument`] takes their values.
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Metric::Requests => &["model", "version", "api", "code"],
            Metric::RequestDuration => &["model", "version", "api"],
            Metric::RunDuration | Metric::QueuedRequests | Metric::ModelAvailable => &["model", "version"],
            Metric::UnresolvedRequests => &["api", "code"],
            Metric::Loads => &["model", "version", "code"],
            Metric::LoadDuration => &["model", "version"],
            Metric::LoadPhaseDuration => &["model", "version", "phase"],
            Metric::ModelCacheHits
            | Metric::ModelCacheMisses
            | Metric::ModelCacheRefusals
            | Metric::ModelCacheEvictions
            | Metric::ModelCacheBytes
            | Metric::ModelCacheBudgetBytes
            | Metric::ModelCacheVersions
            | Metric::ModelCacheWaiting => &[],
            Metric::BatchRows
            | Metric::BatchFill
            | Metric::BatchPaddingRows
            | Metric::BatchPaddingElements
            | Metric::BatchQueueDuration
            | Metric::BatchQueuedRequests => &["model", "version", "signature"],
            Metric::BatchDrops => &["model", "version", "signature", "reason"],
        }
    }
}

/// Where measurements go. Thread-safe.
pub trait Observer: Send + Sync + 'static {
    /// The instrument of `metric` with these values of its labels; the same one for the same values.
    ///
    /// May lock and allocate: ask once, keep the answer.
    fn instrument(&self, metric: Metric, labels: &[&str]) -> Arc<dyn Instrument>;

    /// Forgets everything measured of one version, which has ended.
    fn forget(&self, model: &str, version: &str);
}

/// One metric with fixed labels. Thread-safe; does not block.
pub trait Instrument: Send + Sync {
    /// Adds to a counter, sets a gauge, or observes one value of a distribution.
    fn record(&self, value: f64);

    /// Adds to a gauge, or takes from it.
    fn shift(&self, by: f64);
}

/// Measures nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn instrument(&self, _metric: Metric, _labels: &[&str]) -> Arc<dyn Instrument> {
        Arc::new(NoObserver)
    }

    fn forget(&self, _model: &str, _version: &str) {}
}

impl Instrument for NoObserver {
    fn record(&self, _value: f64) {}

    fn shift(&self, _by: f64) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_in_one_form() {
        let names: HashSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for metric in Metric::ALL {
            assert!(metric.name().starts_with("salver_"), "{metric:?}");
            assert_eq!(metric.name().ends_with("_seconds"), metric.kind() == Kind::Seconds, "{metric:?}");
            assert_eq!(metric.name().ends_with("_ratio"), metric.kind() == Kind::Ratio, "{metric:?}");
        }
    }
}
