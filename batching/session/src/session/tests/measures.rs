//! What is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use salver_batching_queue::{Dropped, Level, Tuning};
use salver_batching_scheduler::{Consumer, InFlight};
use salver_batching_tune::{AdaptiveOptions, LatencyTargetOptions};
use salver_core_observe::{Instrument, Metric};

use super::super::*;
use super::fixture::*;

type Values = Arc<Mutex<BTreeMap<String, Vec<f64>>>>;

/// Keeps what is recorded, by the metric's name and its labels' values.
#[derive(Default)]
struct Recorder(Values);

struct Of(Values, String);

impl Observer for Recorder {
    fn instrument(&self, metric: Metric, labels: &[&str]) -> Arc<dyn Instrument> {
        assert_eq!(labels.len(), metric.labels().len());
        Arc::new(Of(Arc::clone(&self.0), format!("{} {}", metric.name(), labels.join(" "))))
    }

    fn forget(&self, _model: &str, _version: &str) {}
}

impl Instrument for Of {
    fn record(&self, value: f64) {
        self.0.lock().entry(self.1.clone()).or_default().push(value);
    }

    fn shift(&self, by: f64) {
        self.record(by);
    }
}

#[test]
fn what_was_found_is_told_as_it_is_now() {
    let tuning = LatencyTargetOptions {
        target: Duration::from_secs(3600),
        max_batch_size: 1000,
        allowed_batch_sizes: vec![4, 1000],
    };
    let mut options = options();
    options.queue.tuning = Tuning::LatencyTarget(tuning);
    options.pool.in_flight = InFlight::Adaptive(AdaptiveOptions {
        min_limit: 1.0,
        max_limit: 2.0,
        initial_limit: 2.0,
        batches_to_average_over: 1,
    });
    let session = session(&Arithmetic::new(), options);
    let found = |session: &Session| session.status().signatures[0].found.unwrap().batch_size;
    assert_eq!((found(&session), session.status().in_flight_limit), (4, 2), "where it begins");
    let mut limits = Vec::new();
    for _ in 0..200 {
        session.run_blocking(call(matrix(3, vec![1, 2, 3]))).unwrap();
        limits.push(session.status().in_flight_limit);
    }
    assert!(limits.contains(&1), "it moves, whichever way: {limits:?}");
    assert_eq!(session.status().signatures[1].found, None, "it is not batched");
}

#[test]
fn batches_and_what_leaves_without_being_run_are_measured() {
    let recorder = Recorder::default();
    let values = Arc::clone(&recorder.0);
    let observer: Arc<dyn Observer> = Arc::new(recorder);
    let mut options = ragged();
    options.queue.levels = vec![Level { max_batch_size: 8, max_execution_batch_size: 8, ..Level::default() }];
    let model: Arc<dyn Model> = Arithmetic::new();
    let session = Session::new(&id(), model, options, &Pools::default(), &observer).unwrap();

    // Five elements in three rows, run as eight in four.
    let calls = vec![call(matrix(2, vec![1, 2, 3, 4])), call(matrix(1, vec![5]))];
    run_together(&session, calls, 4);
    let statuses = [
        Status::cancelled("the caller gave up"),
        Status::deadline_exceeded("late"),
        Status::unavailable("Request timeout expired"),
    ];
    for status in statuses {
        let (mut tasks, _waiters) = admit(&session, vec![call(matrix(1, vec![1]))]);
        session.doors[0].front.dropped(Dropped { task: tasks.remove(0), status });
    }
    for status in [Status::invalid_argument("too large"), Status::unavailable("full")] {
        let (mut tasks, _waiters) = admit(&session, vec![call(matrix(1, vec![1]))]);
        tasks.remove(0).refuse(&status);
    }

    let values = values.lock();
    let of = |name: &str| &values[&format!("{name} arithmetic 1 serving_default")][..];
    assert_eq!(of("salver_batch_rows"), [4.0]);
    assert_eq!(of("salver_batch_fill_ratio"), [3.0 / 8.0]);
    assert_eq!(of("salver_batch_padding_rows"), [1.0]);
    assert_eq!(of("salver_batch_padding_elements"), [3.0]);
    assert_eq!(of("salver_batch_queue_duration_seconds").len(), 2);
    assert_eq!(of("salver_batch_queued_requests").iter().sum::<f64>(), 0.0);
    assert_eq!(values["salver_run_duration_seconds arithmetic 1"].len(), 1);
    for reason in ["cancelled", "expired", "timeout", "too_large", "full"] {
        let drops = &values[&format!("salver_batch_drops arithmetic 1 serving_default {reason}")];
        assert_eq!(drops[..], [1.0], "{reason}");
    }
}
