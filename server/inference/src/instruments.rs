//! What is measured of one served version.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use salver_core_observe::{Instrument, Metric, Observer};
use salver_core_servable::ServableId;
use salver_core_status::Code;

/// Which interface a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// TensorFlow Serving's gRPC interface.
    TfServingGrpc,
    /// TensorFlow Serving's REST interface.
    TfServingRest,
    /// The Open Inference Protocol over gRPC.
    OpenInferenceGrpc,
    /// The Open Inference Protocol over REST.
    OpenInferenceRest,
    /// A call from the same process.
    Embedded,
}

impl Api {
    /// Every interface.
    pub const ALL: [Api; 5] = [
        Api::TfServingGrpc,
        Api::TfServingRest,
        Api::OpenInferenceGrpc,
        Api::OpenInferenceRest,
        Api::Embedded,
    ];

    /// The value of the label `api`.
    pub const fn name(self) -> &'static str {
        match self {
            Api::TfServingGrpc => "tfs_grpc",
            Api::TfServingRest => "tfs_rest",
            Api::OpenInferenceGrpc => "oip_grpc",
            Api::OpenInferenceRest => "oip_rest",
            Api::Embedded => "embedded",
        }
    }
}

/// The instruments of one version, each asked for when it is first needed and then kept.
pub(crate) struct Instruments {
    observer: Arc<dyn Observer>,
    model: String,
    version: String,
    run_duration: Arc<dyn Instrument>,
    queued: Arc<dyn Instrument>,
    per_api: [PerApi; Api::ALL.len()],
}

#[derive(Default)]
struct PerApi {
    duration: OnceLock<Arc<dyn Instrument>>,
    /// By code's number; 0 is success.
    outcomes: [OnceLock<Arc<dyn Instrument>>; Code::ALL.len() + 1],
}

impl Instruments {
    pub(crate) fn new(observer: Arc<dyn Observer>, id: &ServableId) -> Self {
        let (model, version) = (id.name.to_string(), id.version.to_string());
        let labels = [model.as_str(), version.as_str()];
        let run_duration = observer.instrument(Metric::RunDuration, &labels);
        let queued = observer.instrument(Metric::QueuedRequests, &labels);
        let per_api = Default::default();
        Self { observer, model, version, run_duration, queued, per_api }
    }

    pub(crate) fn ran(&self, took: Duration) {
        self.run_duration.record(took.as_secs_f64());
    }

    pub(crate) fn queued(&self, by: f64) {
        self.queued.shift(by);
    }

    /// Notes a request's end.
    pub(crate) fn answered(&self, api: Api, took: Duration, code: Option<Code>) {
        // `Api::ALL` lists the variants in the order of their discriminants.
        let Some(per_api) = self.per_api.get(api as usize) else {
            return;
        };
        let number = code.map_or(Code::OK, |code| code as u32) as usize;
        let name = code.map_or("OK", Code::name);
        let labels = [self.model.as_str(), self.version.as_str(), api.name()];
        if let Some(outcome) = per_api.outcomes.get(number) {
            let ask = || self.observer.instrument(Metric::Requests, &[labels[0], labels[1], labels[2], name]);
            outcome.get_or_init(ask).record(1.0);
        }
        let ask = || self.observer.instrument(Metric::RequestDuration, &labels);
        per_api.duration.get_or_init(ask).record(took.as_secs_f64());
    }
}

impl Drop for Instruments {
    fn drop(&mut self) {
        self.observer.forget(&self.model, &self.version);
    }
}
