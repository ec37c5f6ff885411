use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use salver_core_observe::{Instrument, Metric, NoObserver};
use salver_core_platform::{CancelFlag, OptionValue};
use salver_core_servable::Version;
use salver_core_signature::{ShapeSpec, Signature, TensorSpec};
use salver_core_status::Code;
use salver_core_tensor::{DType, Shape};

use super::*;

/// Doubles; where it is given a queue, by asking that first.
struct Double {
    signatures: SignatureSet,
    runs: AtomicUsize,
    threads: Mutex<BTreeSet<String>>,
    inner: OnceLock<Box<dyn BatchQueue>>,
}

fn double(dims: &[i64]) -> Arc<Double> {
    let of = |name| TensorSpec::new(name, DType::I64, ShapeSpec::of(dims));
    let signature = Signature::predict(vec![of("x")], vec![of("y")]);
    Arc::new(Double {
        signatures: SignatureSet::new(vec![signature]).unwrap(),
        runs: AtomicUsize::new(0),
        threads: Mutex::default(),
        inner: OnceLock::new(),
    })
}

impl Model for Double {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.threads.lock().insert(format!("{:?}", thread::current().id()));
        let x = request.input(0)?;
        if let Some(inner) = self.inner.get() {
            let x = vec![Some(vector(x.as_slice::<i64>()?))];
            let (outputs, context) = (request.outputs, request.context);
            return inner.run(StepRequest { signature: 0, inputs: x, outputs, context });
        }
        Ok(vec![vector(&x.as_slice::<i64>()?.iter().map(|x| 2 * x).collect::<Vec<_>>())])
    }
}

fn vector(values: &[i64]) -> Tensor {
    Tensor::from_vec(Shape::new(&[values.len() as i64]).unwrap(), values.to_vec()).unwrap()
}

fn options(said: &[(&str, i64)]) -> Options {
    let mut options = Options::new();
    said.iter().for_each(|(name, value)| options.set(*name, OptionValue::Int(*value)));
    options
}

fn open_with(
    observer: Arc<dyn Observer>,
    step: &Arc<Double>,
    options: &Options,
) -> Result<Box<dyn BatchQueue>, Status> {
    let model = ServableId::new("m", Version::new(3).unwrap());
    let step: Arc<dyn Model> = Arc::clone(step) as _;
    SubBatcher::new(Arc::default(), observer).open(&model, "token", step, options)
}

fn open(step: &Arc<Double>, said: &[(&str, i64)]) -> Box<dyn BatchQueue> {
    open_with(Arc::new(NoObserver), step, &options(said)).unwrap()
}

fn run(queue: &dyn BatchQueue, values: &[i64], context: RunContext<'_>) -> Result<Vec<Tensor>, Status> {
    queue.run(StepRequest { signature: 0, inputs: vec![Some(vector(values))], outputs: &[0], context })
}

/// A minute: nothing here waits that long.
const LONG: i64 = 60_000_000;

#[test]
fn steps_of_several_threads_are_run_together_and_each_has_its_own_answer() {
    let step = double(&[-1]);
    let queue = open(&step, &[("max_batch_size", 4), ("batch_timeout_micros", LONG)]);
    thread::scope(|scope| {
        for at in 0..4 {
            let queue = &*queue;
            scope.spawn(move || {
                assert_eq!(run(queue, &[at], RunContext::default()), Ok(vec![vector(&[2 * at])]));
            });
        }
    });
    assert_eq!(step.runs.load(Ordering::SeqCst), 1);
}

#[test]
fn a_step_that_nobody_waits_beside_is_run_on_the_thread_that_asks() {
    let step = double(&[-1]);
    let queue = open(&step, &[]);
    for at in 0..10 {
        assert_eq!(run(&*queue, &[at], RunContext::default()), Ok(vec![vector(&[2 * at])]));
    }
    let here = BTreeSet::from([format!("{:?}", thread::current().id())]);
    assert_eq!(*step.threads.lock(), here);
}

#[test]
fn a_step_that_asks_for_a_step_has_it_at_once_where_it_would_wait_for_itself() {
    let inner = double(&[-1]);
    let outer = double(&[-1]);
    let shared = [("max_batch_size", 2), ("batch_timeout_micros", LONG)];
    let queue = open(&inner, &shared);
    outer.inner.set(queue).ok().unwrap();
    let queue = open(&outer, &shared);
    thread::scope(|scope| {
        for at in 0..2 {
            let queue = &*queue;
            scope.spawn(move || {
                assert_eq!(run(queue, &[at], RunContext::default()), Ok(vec![vector(&[2 * at])]));
            });
        }
    });
    assert_eq!((outer.runs.load(Ordering::SeqCst), inner.runs.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(*outer.threads.lock(), *inner.threads.lock());
}

#[test]
fn a_queue_takes_its_step_with_it() {
    let step = double(&[-1]);
    let queue = open(&step, &[("max_batch_size", 8), ("batch_timeout_micros", 1)]);
    thread::scope(|scope| {
        for at in 0..4 {
            let queue = &*queue;
            scope.spawn(move || run(queue, &[at], RunContext::default()).unwrap());
        }
    });
    drop(queue);
    assert_eq!(Arc::strong_count(&step), 1);
}

#[test]
fn who_waits_for_a_batch_hears_of_the_run_being_given_up() {
    let step = double(&[-1]);
    let queue = open(&step, &[("max_batch_size", 4), ("batch_timeout_micros", LONG)]);
    let flag = CancelFlag::new();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let context = RunContext { cancel: flag.watch(), ..RunContext::default() };
            run(&*queue, &[1], context)
        });
        flag.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().code(), Code::Cancelled);
    });
    let late =
        RunContext { deadline: Some(Instant::now() + Duration::from_millis(1)), ..RunContext::default() };
    assert_eq!(run(&*queue, &[1], late).unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(step.runs.load(Ordering::SeqCst), 0);
}

#[test]
fn what_cannot_be_batched_is_refused_with_the_steps_name() {
    let refused = |dims: &[i64], said: &[(&str, i64)]| {
        let status = open_with(Arc::new(NoObserver), &double(dims), &options(said)).err().unwrap();
        (status.code(), status.message().to_owned())
    };
    assert_eq!(
        refused(&[2], &[]),
        (
            Code::InvalidArgument,
            "step `token` of model `m:3`: signature `serving_default`: input `x` has shape [2], a first dimension of any \
             size (-1) was wanted"
                .to_owned()
        )
    );
    assert_eq!(
        refused(&[-1], &[("max_batch_size", 0)]),
        (
            Code::InvalidArgument,
            "step `token` of model `m:3`: max_batch_size is 0, 1 to 2147483647 was wanted".to_owned()
        )
    );
}

#[test]
fn a_step_is_run_by_itself_where_batching_is_off() {
    let mut off = Options::new();
    off.set("mode", OptionValue::Text("off".to_owned()));
    let queue = open_with(Arc::new(NoObserver), &double(&[-1]), &off).unwrap();
    assert_eq!(run(&*queue, &[3], RunContext::default()), Ok(vec![vector(&[6])]));
}

/// Keeps which instruments were asked for.
#[derive(Default)]
struct Asked(Mutex<Vec<(Metric, Vec<String>)>>);

impl Observer for Asked {
    fn instrument(&self, metric: Metric, labels: &[&str]) -> Arc<dyn Instrument> {
        self.0.lock().push((metric, labels.iter().map(ToString::to_string).collect()));
        Arc::new(NoObserver)
    }

    fn forget(&self, _model: &str, _version: &str) {}
}

#[test]
fn batches_of_a_step_are_measured_by_its_name_and_its_runs_are_not_the_models() {
    let asked = Arc::new(Asked::default());
    let queue = open_with(Arc::clone(&asked) as _, &double(&[-1]), &Options::new()).unwrap();
    drop(queue);
    let asked = asked.0.lock();
    let labels = ["m", "3", "token/serving_default"].map(str::to_owned).to_vec();
    assert!(asked.contains(&(Metric::BatchRows, labels)));
    assert!(!asked.iter().any(|(metric, _)| *metric == Metric::RunDuration));
}
