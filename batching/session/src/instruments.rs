//! What is measured of one queue.

use std::sync::Arc;

use salver_core_observe::{Instrument, Metric, NoObserver, Observer};
use salver_core_status::Code;

use crate::names::Names;

/// What is measured of one queue.
pub(crate) struct Instruments {
    /// Requests that wait.
    pub(crate) waiting: Arc<dyn Instrument>,
    /// How long each waited.
    pub(crate) waited: Arc<dyn Instrument>,
    /// Rows of a batch, padding counted.
    pub(crate) rows: Arc<dyn Instrument>,
    /// Rows of a batch over the most it may have.
    pub(crate) fill: Arc<dyn Instrument>,
    pub(crate) padding_rows: Arc<dyn Instrument>,
    pub(crate) padding_elements: Arc<dyn Instrument>,
    /// How long the model ran.
    pub(crate) ran: Arc<dyn Instrument>,
    cancelled: Arc<dyn Instrument>,
    expired: Arc<dyn Instrument>,
    timeout: Arc<dyn Instrument>,
    full: Arc<dyn Instrument>,
    too_large: Arc<dyn Instrument>,
}

impl Instruments {
    pub(crate) fn new(names: &Names, signature: &str, observer: &dyn Observer) -> Self {
        let queue = names.queue(signature);
        let labels = [names.model.as_str(), names.version.as_str(), queue.as_str()];
        let of = |metric| observer.instrument(metric, &labels);
        let [model, version, queue] = labels;
        let drops = |reason| observer.instrument(Metric::BatchDrops, &[model, version, queue, reason]);
        Self {
            waiting: of(Metric::BatchQueuedRequests),
            waited: of(Metric::BatchQueueDuration),
            rows: of(Metric::BatchRows),
            fill: of(Metric::BatchFill),
            padding_rows: of(Metric::BatchPaddingRows),
            padding_elements: of(Metric::BatchPaddingElements),
            // A step's run is a part of a model's, which is measured whole.
            ran: match names.step {
                None => observer.instrument(Metric::RunDuration, &[model, version]),
                Some(_) => Arc::new(NoObserver),
            },
            cancelled: drops("cancelled"),
            expired: drops("expired"),
            timeout: drops("timeout"),
            full: drops("full"),
            too_large: drops("too_large"),
        }
    }

    /// Counts a request that left its queue without being run.
    pub(crate) fn dropped(&self, code: Code) {
        let drops = match code {
            Code::Cancelled => &self.cancelled,
            Code::DeadlineExceeded => &self.expired,
            _ => &self.timeout,
        };
        drops.record(1.0);
    }

    /// Counts a request that the queue did not take.
    pub(crate) fn refused(&self, code: Code) {
        let drops = if code == Code::InvalidArgument { &self.too_large } else { &self.full };
        drops.record(1.0);
    }
}
