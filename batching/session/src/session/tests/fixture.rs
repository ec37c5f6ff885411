//! A model whose answers are whole numbers, and batches that are put together by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use salver_batching_parameters::Padding;
use salver_batching_queue::{Batch, QueueOptions};
use salver_batching_scheduler::{Consumer, InFlight, PoolOptions, QueueOrder};
use salver_core_observe::NoObserver;
use salver_core_platform::{RunRequest, TraceContext};
use salver_core_servable::Version;
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_tensor::{DType, Shape};

use super::super::*;

/// A value that the model does not take.
pub(super) const BAD: i64 = -1_000_001;
/// A value that its framework fails at.
pub(super) const BROKEN: i64 = -1_000_002;
/// A value that it panics at.
pub(super) const PANIC: i64 = -1_000_003;

/// `tripled` is `x * scale * 3 + add`, `sums` are those of its rows, `odd` has one row whatever there is.
pub(super) struct Arithmetic {
    signatures: SignatureSet,
    pub(super) runs: AtomicUsize,
    pub(super) seen: Mutex<Vec<Seen>>,
}

/// What a run was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) shape: Vec<i64>,
    pub(super) address: usize,
    pub(super) deadline: Option<Instant>,
    pub(super) request_id: String,
    pub(super) trace: TraceContext,
    pub(super) parameters: salver_core_platform::Options,
    pub(super) is_cancelled: bool,
}

pub(super) const TRIPLED: usize = 0;
pub(super) const SUMS: usize = 1;
pub(super) const ODD: usize = 2;

impl Arithmetic {
    pub(super) fn new() -> Arc<Self> {
        let of = |name: &str, dims: &[i64]| TensorSpec::new(name, DType::I64, ShapeSpec::of(dims));
        let scale = Tensor::from_vec(Shape::scalar(), vec![1i64]).unwrap();
        let inputs =
            vec![of("x", &[-1, -1]), of("add", &[-1]).optional(None), of("scale", &[]).optional(Some(scale))];
        let outputs = vec![of("tripled", &[-1, -1]), of("sums", &[-1]), of("odd", &[-1])];
        let fixed = Signature {
            name: "fixed".to_owned(),
            ..Signature::predict(vec![of("x", &[2, -1])], vec![of("y", &[-1])])
        };
        let signatures = SignatureSet::new(vec![Signature::predict(inputs, outputs), fixed]).unwrap();
        Arc::new(Self { signatures, runs: AtomicUsize::new(0), seen: Mutex::default() })
    }

    pub(super) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

impl Model for Arithmetic {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Outcome {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let input = request.input(0)?;
        let x = input.as_slice::<i64>()?;
        let dims = input.shape().dims();
        self.seen.lock().push(Seen {
            shape: dims.to_vec(),
            address: x.as_ptr().addr(),
            deadline: request.context.deadline,
            request_id: request.context.request_id.to_owned(),
            trace: request.context.trace,
            parameters: request.context.parameters.clone(),
            is_cancelled: request.context.cancel.is_cancelled(),
        });
        if x.contains(&BAD) {
            return Err(Status::invalid_argument("a value is bad"));
        }
        if x.contains(&BROKEN) {
            return Err(Status::internal("the framework failed"));
        }
        assert!(!x.contains(&PANIC), "asked to");
        if request.signature == 1 {
            return Ok(vec![Tensor::from_vec(Shape::new(&dims[..1])?, vec![7i64; dims[0] as usize])?]);
        }
        let scale = request.input(2)?.as_slice::<i64>()?[0];
        let add = request.inputs[1].map(|add| add.as_slice::<i64>().map(<[i64]>::to_vec)).transpose()?;
        let width = dims[1] as usize;
        let tripled: Vec<i64> = x
            .iter()
            .enumerate()
            .map(|(at, x)| {
                x.wrapping_mul(scale)
                    .wrapping_mul(3)
                    .wrapping_add(add.as_ref().map_or(0, |add| add[at / width]))
            })
            .collect();
        let sums = match width {
            0 => vec![0; dims[0] as usize],
            _ => tripled.chunks(width).map(|row| row.iter().fold(0i64, |a, b| a.wrapping_add(*b))).collect(),
        };
        let output = |wanted: &usize| match *wanted {
            TRIPLED => Tensor::from_vec(input.shape().clone(), tripled.clone()),
            SUMS => Tensor::from_vec(Shape::new(&dims[..1])?, sums.clone()),
            _ => Tensor::from_vec(Shape::new(&[1])?, vec![1i64]),
        };
        Ok(request.outputs.iter().map(output).collect::<Result<_, _>>()?)
    }
}

pub(super) fn options() -> BatchingOptions {
    let pool = PoolOptions {
        name: "test".into(),
        threads: 2,
        order: QueueOrder::RoundRobin,
        in_flight: InFlight::Threads,
    };
    BatchingOptions { pool, queue: QueueOptions::default(), padding: None, preserve_ordering: false }
}

/// Padded to each other's shapes, and `tripled` cut to `x` again.
pub(super) fn ragged() -> BatchingOptions {
    let unpad = BTreeMap::from([("tripled".to_owned(), "x".to_owned())]);
    BatchingOptions { padding: Some(Padding { unpad, ..Padding::default() }), ..options() }
}

pub(super) fn session(model: &Arc<Arithmetic>, options: BatchingOptions) -> Session {
    let model: Arc<dyn Model> = Arc::clone(model) as _;
    Session::new(&id(), model, options, &Pools::default(), &observer()).unwrap()
}

pub(super) fn id() -> ServableId {
    ServableId::new("arithmetic", Version::new(1).unwrap())
}

pub(super) fn observer() -> Arc<dyn Observer> {
    Arc::new(NoObserver)
}

pub(super) fn matrix(rows: usize, values: Vec<i64>) -> Tensor {
    let width = values.len().checked_div(rows).unwrap_or(3);
    Tensor::from_vec(Shape::new(&[rows as i64, width as i64]).unwrap(), values).unwrap()
}

pub(super) fn vector(values: Vec<i64>) -> Tensor {
    Tensor::from_vec(Shape::new(&[values.len() as i64]).unwrap(), values).unwrap()
}

pub(super) fn scalar(value: i64) -> Tensor {
    Tensor::from_vec(Shape::scalar(), vec![value]).unwrap()
}

/// A call for `tripled` and `sums` of `x`.
pub(super) fn call(x: Tensor) -> Call {
    Call {
        signature: 0,
        inputs: vec![Some(x), None, Some(scalar(1))],
        outputs: vec![TRIPLED, SUMS],
        context: RequestContext::default(),
        keep: Box::new(()),
    }
}

pub(super) fn copy(call: &Call) -> Call {
    Call {
        signature: call.signature,
        inputs: call.inputs.clone(),
        outputs: call.outputs.clone(),
        context: call.context.clone(),
        keep: Box::new(()),
    }
}

/// What the model says to a call by itself.
pub(super) fn unbatched(call: &Call) -> Outcome {
    let views: Vec<_> = call.inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
    let context = call.context.lend();
    let request = RunRequest { signature: call.signature, inputs: &views, outputs: &call.outputs, context };
    Arithmetic::new().run(&request)
}

/// Makes tasks of calls, and waiters for them.
pub(super) fn admit(session: &Session, calls: Vec<Call>) -> (Vec<SessionTask>, Vec<Waiter>) {
    let admit = |call| match session.admit(call, false).unwrap() {
        Admitted::Task(_, task, waiter) => (task, waiter),
        Admitted::Answered(outcome) => panic!("answered at once: {outcome:?}"),
    };
    calls.into_iter().map(admit).unzip()
}

/// Runs tasks as one batch.
pub(super) fn run(session: &Session, tasks: Vec<SessionTask>, padded_rows: usize) {
    let now = Instant::now();
    let rows = tasks.iter().map(SessionTask::rows).sum();
    let waited = std::time::Duration::ZERO;
    session.doors[0].front.run(Batch { tasks, rows, padded_rows, number: 0, opened: now, waited });
}

pub(super) fn wait(waiter: Waiter) -> Outcome {
    waiter.wait(Some(Instant::now() + std::time::Duration::from_secs(60)), Cancellation::NEVER)
}

/// Runs calls as one batch, to the answer of each.
pub(super) fn run_together(session: &Session, calls: Vec<Call>, padded_rows: usize) -> Vec<Outcome> {
    let (tasks, waiters) = admit(session, calls);
    run(session, tasks, padded_rows);
    waiters.into_iter().map(wait).collect()
}
