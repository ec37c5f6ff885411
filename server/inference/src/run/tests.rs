use super::*;

use std::sync::mpsc;
use std::thread::ThreadId;
use std::time::Duration;

use salver_core_observe::NoObserver;
use salver_core_platform::Model;
use salver_core_servable::{Tenancy, Version};
use salver_core_signature::{ShapeSpec, SignatureSet};
use salver_core_status::Code;
use salver_core_tensor::{DType, Shape};

use crate::{GateOptions, ServedOptions};

type Behaviour = Box<dyn Fn(&RunRequest<'_>) -> Result<Vec<Tensor>, Status> + Send + Sync>;

struct Fake(SignatureSet, Behaviour);

impl Model for Fake {
    fn signatures(&self) -> &SignatureSet {
        &self.0
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        (self.1)(request)
    }
}

fn served(
    inline_limit: Duration,
    behaviour: impl Fn(&RunRequest<'_>) -> Result<Vec<Tensor>, Status> + Send + Sync + 'static,
) -> Tenancy<Served> {
    let any = |name| TensorSpec::new(name, DType::F32, ShapeSpec::any());
    let signatures = SignatureSet::new(vec![Signature::predict(vec![any("x")], vec![any("y")])]).unwrap();
    let id = ServableId::new("m", Version::new(1).unwrap());
    let gate = GateOptions { max_running: 1, max_waiting: 1 };
    let model = Box::new(Fake(signatures, Box::new(behaviour)));
    let options = ServedOptions { inline_limit, gate };
    let served = Served::new(&id, model, "fake", options, Arc::new(NoObserver));
    Tenancy::new(id, Arc::new(served), 1, || {})
}

fn call(tenancy: &Tenancy<Served>) -> Call {
    let x = Tensor::from_vec(Shape::scalar(), vec![1.5f32]).unwrap();
    Call {
        api: Api::Embedded,
        served: tenancy.handle(0),
        signature: 0,
        inputs: vec![("x".to_owned(), x)],
        outputs: Vec::new(),
        context: RequestContext::default(),
    }
}

fn echo(request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
    let x = request.input(0)?;
    Ok(vec![Tensor::from_vec(x.shape().clone(), x.as_slice::<f32>()?.to_vec())?])
}

#[tokio::test]
async fn an_answer_names_its_version_signature_and_outputs() {
    let tenancy = served(Duration::ZERO, echo);
    let answer = run(call(&tenancy)).await.unwrap();
    assert_eq!(answer.id().to_string(), "m:1");
    assert_eq!(answer.signature().unwrap().name, "serving_default");
    let outputs: Vec<_> =
        answer.outputs().map(|(spec, tensor)| (spec.name.as_str(), tensor.clone())).collect();
    assert_eq!(outputs, [("y", Tensor::from_vec(Shape::scalar(), vec![1.5f32]).unwrap())]);
}

#[tokio::test]
async fn the_first_run_has_a_thread_of_its_own_and_fast_ones_then_stay_where_they_are() {
    let (sender, threads) = mpsc::channel::<ThreadId>();
    let tenancy = served(Duration::from_secs(60), move |request| {
        sender.send(std::thread::current().id()).unwrap();
        echo(request)
    });
    run(call(&tenancy)).await.unwrap();
    run(call(&tenancy)).await.unwrap();
    let here = std::thread::current().id();
    assert_ne!(threads.recv().unwrap(), here);
    assert_eq!(threads.recv().unwrap(), here);
}

#[test]
fn a_caller_that_may_block_runs_on_its_own_thread_without_a_runtime() {
    let (sender, threads) = mpsc::channel::<ThreadId>();
    let tenancy = served(Duration::ZERO, move |request| {
        sender.send(std::thread::current().id()).unwrap();
        echo(request)
    });
    let answer = run_blocking(call(&tenancy)).unwrap();
    assert_eq!(answer.outputs().count(), 1);
    assert_eq!(threads.recv().unwrap(), std::thread::current().id());
    let mut late = call(&tenancy);
    late.context.deadline = Some(Instant::now());
    assert_eq!(run_blocking(late).unwrap_err().code(), Code::DeadlineExceeded);
    let mut empty = call(&tenancy);
    empty.inputs.clear();
    assert_eq!(run_blocking(empty).unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_deadline_that_has_passed_costs_no_run() {
    let tenancy = served(Duration::ZERO, |_| panic!("must not run"));
    let mut late = call(&tenancy);
    late.context.deadline = Some(Instant::now());
    assert_eq!(run(late).await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_run_that_outlasts_its_deadline_is_left_behind_told_and_keeps_its_place() {
    let (noticed, told) = mpsc::channel();
    let tenancy = served(Duration::ZERO, move |request| {
        while !request.context.cancel.is_cancelled() {
            std::thread::yield_now();
        }
        noticed.send(()).unwrap();
        echo(request)
    });
    let mut slow = call(&tenancy);
    // Far enough for the run to begin before it, on a busy machine too.
    slow.context.deadline = Some(Instant::now() + Duration::from_millis(500));
    assert_eq!(run(slow).await.unwrap_err().code(), Code::DeadlineExceeded);
    told.recv().unwrap();
}

#[tokio::test]
async fn a_request_that_is_dropped_sets_its_flag() {
    let (started, has_started) = tokio::sync::oneshot::channel();
    let started = std::sync::Mutex::new(Some(started));
    let tenancy = served(Duration::ZERO, move |request| {
        if let Some(started) = started.lock().unwrap().take() {
            started.send(()).unwrap();
        }
        while !request.context.cancel.is_cancelled() {
            std::thread::yield_now();
        }
        Err(Status::cancelled("noticed"))
    });
    let dropped = call(&tenancy);
    let cancel = dropped.context.cancel.clone();
    let task = tokio::spawn(run(dropped));
    has_started.await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(cancel.is_cancelled());
}

#[tokio::test]
async fn a_panic_and_a_wrong_number_of_outputs_are_internal_errors() {
    let panics = served(Duration::ZERO, |_| panic!("boom"));
    assert_eq!(run(call(&panics)).await.unwrap_err(), Status::internal("model `m:1`: the model panicked"));
    let silent = served(Duration::ZERO, |_| Ok(Vec::new()));
    let error = run(call(&silent)).await.unwrap_err();
    assert_eq!(error, Status::internal("model `m:1` returned 0 of 1 outputs"));
}

#[tokio::test]
async fn inputs_that_do_not_fit_never_reach_the_model() {
    let tenancy = served(Duration::ZERO, |_| panic!("must not run"));
    let mut empty = call(&tenancy);
    empty.inputs.clear();
    assert_eq!(run(empty).await.unwrap_err().message(), "expected 1 input but got 0: missing `x`");
}
