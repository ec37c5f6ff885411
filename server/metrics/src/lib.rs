//! Keeps what is observed and exposes it to Prometheus.
//!
//! A [`Registry`] is an [`Observer`] with a family for every [`Metric`], and [`Registry::expose`] writes them all in
//! the OpenMetrics text format, together with the figures of the process itself.

mod process;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use salver_core_observe::{Instrument, Kind, Metric, Observer};

/// The content type of what [`Registry::expose`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How many figures plugins may have.
pub const MAX_CUSTOM: usize = 1000;

/// Label names and values, in the order of [`Metric::labels`].
type Labels = Vec<(&'static str, String)>;

/// Everything that is measured. Thread-safe.
pub struct Registry {
    registry: Mutex<prometheus_client::registry::Registry>,
    custom: Mutex<BTreeMap<String, Arc<dyn Instrument>>>,
    families: Vec<(Metric, AnyFamily)>,
    /// Called before everything is shown.
    refresh: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
    /// Every label set handed out that names a version, so that it can be forgotten.
    of_versions: Mutex<Vec<(Metric, Labels)>>,
}

/// The family of one metric.
#[derive(Clone)]
enum AnyFamily {
    Counter(Family<Labels, Counter<f64, AtomicU64>>),
    Gauge(Family<Labels, Gauge<f64, AtomicU64>>),
    Histogram(Family<Labels, Histogram, Buckets>),
}

/// Makes histograms of one kind.
#[derive(Clone)]
enum Buckets {
    /// 10 us to 84 s, each bound twice the one before.
    Seconds,
    /// 1 to 4096, each bound twice the one before.
    Sizes,
    /// Tenths.
    Ratio,
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        match self {
            Buckets::Seconds => Histogram::new((0..24).map(|power| 10e-6 * f64::from(1u32 << power))),
            Buckets::Sizes => Histogram::new((0..13).map(|power| f64::from(1u32 << power))),
            Buckets::Ratio => Histogram::new((1..=10).map(|tenth| f64::from(tenth) / 10.0)),
        }
    }
}

impl Registry {
    /// A registry with every metric and nothing observed.
    pub fn new() -> Self {
        let mut registry = prometheus_client::registry::Registry::default();
        let mut families = Vec::with_capacity(Metric::ALL.len());
        for metric in Metric::ALL {
            let (name, help) = (metric.name(), metric.help());
            let family = match metric.kind() {
                Kind::Counter => AnyFamily::Counter(Family::default()),
                Kind::Gauge => AnyFamily::Gauge(Family::default()),
                Kind::Seconds => AnyFamily::Histogram(Family::new_with_constructor(Buckets::Seconds)),
                Kind::Sizes => AnyFamily::Histogram(Family::new_with_constructor(Buckets::Sizes)),
                Kind::Ratio => AnyFamily::Histogram(Family::new_with_constructor(Buckets::Ratio)),
            };
            match family.clone() {
                AnyFamily::Counter(family) => registry.register(name, help, family),
                AnyFamily::Gauge(family) => registry.register(name, help, family),
                AnyFamily::Histogram(family) => registry.register(name, help, family),
            }
            families.push((metric, family));
        }
        registry.register_collector(Box::new(process::Process::new()));
        Self {
            registry: Mutex::new(registry),
            custom: Mutex::default(),
            families,
            refresh: Mutex::default(),
            of_versions: Mutex::default(),
        }
    }

    /// Everything measured, as text of [`CONTENT_TYPE`].
    pub fn expose(&self) -> String {
        for refresh in &*self.refresh.lock() {
            refresh();
        }
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }

    /// Calls `refresh` from now on before everything is shown, to record what is counted elsewhere. It may record, and
    /// must not ask for what is shown.
    pub fn refresh_by(&self, refresh: impl Fn() + Send + Sync + 'static) {
        self.refresh.lock().push(Box::new(refresh));
    }

    /// The instrument of a figure that is not one of ours: a plugin's. The same one for the same name.
    ///
    /// The name is used as it is where that is possible; other characters become `_`. `None` where there are
    /// [`MAX_CUSTOM`] already.
    pub fn custom(&self, kind: Kind, name: &str, help: &str) -> Option<Arc<dyn Instrument>> {
        let allowed = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
        let name: String = name.chars().take(128).map(allowed).collect();
        let mut custom = self.custom.lock();
        if let Some(instrument) = custom.get(&name) {
            return Some(Arc::clone(instrument));
        }
        if custom.len() >= MAX_CUSTOM {
            return None;
        }
        let mut registry = self.registry.lock();
        let instrument: Arc<dyn Instrument> = match kind {
            Kind::Counter => {
                let counter = Counter::default();
                registry.register(name.as_str(), help, counter.clone());
                Arc::new(CounterOf(counter))
            }
            Kind::Gauge => {
                let gauge = Gauge::default();
                registry.register(name.as_str(), help, gauge.clone());
                Arc::new(GaugeOf(gauge))
            }
            Kind::Seconds | Kind::Sizes | Kind::Ratio => {
                let histogram = match kind {
                    Kind::Sizes => Buckets::Sizes.new_metric(),
                    Kind::Ratio => Buckets::Ratio.new_metric(),
                    _ => Buckets::Seconds.new_metric(),
                };
                registry.register(name.as_str(), help, histogram.clone());
                Arc::new(HistogramOf(histogram))
            }
        };
        custom.insert(name, Arc::clone(&instrument));
        Some(instrument)
    }

    fn family(&self, metric: Metric) -> Option<&AnyFamily> {
        self.families.iter().find(|(of, _)| *of == metric).map(|(_, family)| family)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Registry {
    fn instrument(&self, metric: Metric, labels: &[&str]) -> Arc<dyn Instrument> {
        let labels: Labels =
            metric.labels().iter().copied().zip(labels.iter().map(|value| (*value).to_owned())).collect();
        if metric.labels().contains(&"version") {
            let mut of_versions = self.of_versions.lock();
            if !of_versions.iter().any(|(known, set)| *known == metric && *set == labels) {
                of_versions.push((metric, labels.clone()));
            }
        }
        match self.family(metric) {
            Some(AnyFamily::Counter(family)) => Arc::new(CounterOf(family.get_or_create_owned(&labels))),
            Some(AnyFamily::Gauge(family)) => Arc::new(GaugeOf(family.get_or_create_owned(&labels))),
            Some(AnyFamily::Histogram(family)) => Arc::new(HistogramOf(family.get_or_create_owned(&labels))),
            // `new` made a family for every metric.
            None => Arc::new(salver_core_observe::NoObserver),
        }
    }

    fn forget(&self, model: &str, version: &str) {
        let is_of = |set: &Labels| {
            set.iter().any(|(name, value)| *name == "model" && value == model)
                && set.iter().any(|(name, value)| *name == "version" && value == version)
        };
        self.of_versions.lock().retain(|(metric, set)| {
            if !is_of(set) {
                return true;
            }
            match self.family(*metric) {
                Some(AnyFamily::Counter(family)) => family.remove(set),
                Some(AnyFamily::Gauge(family)) => family.remove(set),
                Some(AnyFamily::Histogram(family)) => family.remove(set),
                None => false,
            };
            false
        });
    }
}

struct CounterOf(Counter<f64, AtomicU64>);
struct GaugeOf(Gauge<f64, AtomicU64>);
struct HistogramOf(Histogram);

impl Instrument for CounterOf {
    fn record(&self, value: f64) {
        self.0.inc_by(value);
    }

    fn shift(&self, by: f64) {
        self.0.inc_by(by);
    }
}

impl Instrument for GaugeOf {
    fn record(&self, value: f64) {
        self.0.set(value);
    }

    fn shift(&self, by: f64) {
        self.0.inc_by(by);
    }
}

impl Instrument for HistogramOf {
    fn record(&self, value: f64) {
        self.0.observe(value);
    }

    fn shift(&self, by: f64) {
        self.0.observe(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_exposed_under_its_name_and_labels() {
        let registry = Registry::new();
        let labels = ["digits", "2", "tfs_grpc", "OK"];
        registry.instrument(Metric::Requests, &labels).record(1.0);
        registry.instrument(Metric::Requests, &labels).record(1.0);
        registry.instrument(Metric::RunDuration, &["digits", "2"]).record(0.001);
        let text = registry.expose();
        let line = r#"salver_requests_total{model="digits",version="2",api="tfs_grpc",code="OK"} 2.0"#;
        assert!(text.contains(line), "{text}");
        assert!(
            text.contains(r#"salver_run_duration_seconds_count{model="digits",version="2"} 1"#),
            "{text}"
        );
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }

    #[test]
    fn a_figure_of_a_plugin_is_exposed_under_a_name_that_prometheus_takes() {
        let registry = Registry::new();
        let counter = registry.custom(Kind::Counter, "salver_plugin_my-plugin_hits", "Hits").unwrap();
        let same = registry.custom(Kind::Counter, "salver_plugin_my-plugin_hits", "Hits").unwrap();
        counter.record(2.0);
        same.record(3.0);
        let text = registry.expose();
        assert!(text.contains("salver_plugin_my_plugin_hits_total 5.0"), "{text}");
    }

    #[test]
    fn a_version_that_ended_is_forgotten_and_others_are_not() {
        let registry = Registry::new();
        for version in ["1", "2"] {
            registry.instrument(Metric::ModelAvailable, &["digits", version]).record(1.0);
        }
        registry.forget("digits", "1");
        let text = registry.expose();
        assert!(!text.contains(r#"version="1""#) && text.contains(r#"version="2""#), "{text}");
    }
}
