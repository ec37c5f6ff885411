//! Who is answered, when, and that it is once.

use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use salver_batching_queue::{Dropped, GivenUp, Task};
use salver_batching_scheduler::Consumer;
use salver_core_platform::OptionValue;
use salver_core_status::Code;

use super::super::*;
use super::fixture::*;

#[test]
fn inputs_that_differ_in_rows_are_refused() {
    let session = session(&Arithmetic::new(), options());
    let mut odd = call(matrix(2, vec![1, 2]));
    odd.inputs[1] = Some(vector(vec![1, 2, 3]));
    let status = session.run_blocking(odd).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        status.message(),
        "Batching Run() input tensors must have equal 0th-dimension size: input `x` has 2, input `add` has 3"
    );
}

#[test]
fn a_request_without_rows_or_with_a_value_for_all_rows_is_run_by_itself() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let empty = || call(matrix(0, vec![]));
    let mut scaled = call(matrix(2, vec![1, 2]));
    scaled.inputs[2] = Some(scalar(5));
    let scaled = || copy(&scaled);
    for call in [&empty as &dyn Fn() -> Call, &scaled] {
        assert_eq!(session.run_blocking(call()), unbatched(&call()));
        // Where the caller must not block it goes through the queue, and meets nobody there.
        let (tasks, waiters) = admit(&session, vec![call(), call()]);
        assert_ne!(tasks[0].key(), tasks[1].key());
        for (task, waiter) in tasks.into_iter().zip(waiters) {
            run(&session, vec![task], 1);
            assert_eq!(wait(waiter), unbatched(&call()));
        }
    }
}

#[test]
fn a_signature_of_fixed_rows_is_not_batched_and_says_why() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    assert_eq!(session.batches(0), Ok(()));
    let reason =
        NotBatched("input `x` has shape [2, -1], a first dimension of any size (-1) was wanted".to_owned());
    assert_eq!(session.batches(1), Err(reason.clone()));
    let status = session.status();
    assert_eq!(status.signatures[0].not_batched, None);
    assert_eq!(status.signatures[1].not_batched, Some(reason));
    assert_eq!(status.signatures[0].found, None, "size and wait are said");
    let direct = Call { signature: 1, outputs: vec![0], ..call(matrix(2, vec![1, 2])) };
    assert_eq!(session.run_blocking(copy(&direct)), unbatched(&direct));
}

#[test]
fn priority_and_timeout_are_for_the_queue() {
    let session = session(&Arithmetic::new(), options());
    let with = |name: &str, value: OptionValue| {
        let mut call = call(matrix(1, vec![1]));
        call.context.parameters.set(name, value);
        call
    };
    let said = |call| {
        let (tasks, _waiters) = admit(&session, vec![call]);
        (tasks[0].level(), tasks[0].timeout())
    };
    assert_eq!(said(with("priority", OptionValue::Int(0))), (None, None));
    assert_eq!(said(with("priority", OptionValue::Int(1))), (Some(0), None));
    assert_eq!(said(with("timeout", OptionValue::Int(250))), (None, Some(Duration::from_micros(250))));
    for wrong in [OptionValue::Int(-1), OptionValue::Text("high".into())] {
        for name in ["priority", "timeout"] {
            let status = session.run_blocking(with(name, wrong.clone())).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains(name), "{status}");
        }
    }
}

#[test]
fn outputs_that_are_cut_to_what_no_signature_has_are_refused() {
    let mut options = ragged();
    let padding = options.padding.as_mut().unwrap();
    padding.unpad.insert("sums".into(), "tokens".into());
    let model: Arc<dyn Model> = Arithmetic::new();
    let status = Session::new(&id(), model, options, &Pools::default(), &observer()).err().unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("unpad_outputs cuts `sums` to `tokens`"), "{status}");
}

#[test]
fn a_pool_is_shared_by_name_and_has_one_set_of_settings() {
    let pools = Pools::default();
    let of = |threads| {
        let mut options = options();
        options.pool.threads = threads;
        Session::new(&id(), Arithmetic::new(), options, &pools, &observer())
    };
    let (_first, second) = (of(2), of(2));
    assert!(second.is_ok());
    let status = of(3).err().unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("`test`"), "{status}");
}

#[test]
fn a_caller_that_leaves_sets_the_flag_and_the_task_is_given_up() {
    let session = session(&Arithmetic::new(), options());
    let (tasks, waiters) = admit(&session, vec![call(matrix(1, vec![1]))]);
    assert_eq!(tasks[0].given_up(Instant::now()), None);
    drop(waiters);
    assert_eq!(tasks[0].given_up(Instant::now()), Some(GivenUp::Cancelled));
}

#[test]
fn a_caller_that_is_answered_keeps_its_flag_unset() {
    let session = session(&Arithmetic::new(), options());
    let call = call(matrix(1, vec![1]));
    let flag = call.context.cancel.clone();
    assert!(run_together(&session, vec![call], 1)[0].is_ok());
    assert!(!flag.is_cancelled());
}

/// Runs `during` while the model runs, then tells whether the model saw its flag.
struct Gate {
    signatures: salver_core_signature::SignatureSet,
    during: Box<dyn Fn() + Send + Sync>,
    saw: AtomicBool,
}

impl Model for Gate {
    fn signatures(&self) -> &salver_core_signature::SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &salver_core_platform::RunRequest<'_>) -> Outcome {
        (self.during)();
        self.saw.store(request.context.cancel.is_cancelled(), Ordering::SeqCst);
        Arithmetic::new().run(request)
    }
}

fn gated(options: BatchingOptions, during: impl Fn() + Send + Sync + 'static) -> (Session, Arc<Gate>) {
    let signatures = Arithmetic::new().signatures().clone();
    let gate = Arc::new(Gate { signatures, during: Box::new(during), saw: AtomicBool::new(false) });
    let model = Arc::clone(&gate) as Arc<dyn Model>;
    (Session::new(&id(), model, options, &Pools::default(), &observer()).unwrap(), gate)
}

#[test]
fn a_batch_is_cancelled_when_the_last_of_its_callers_leaves_while_it_runs() {
    for stay in 0..3 {
        let leaving: Arc<parking_lot::Mutex<Vec<Waiter>>> = Arc::default();
        let waiters = Arc::clone(&leaving);
        let (session, gate) = gated(options(), move || waiters.lock().clear());
        let (tasks, mut waiters) =
            admit(&session, (0..3).map(|value| call(matrix(1, vec![value]))).collect());
        let staying = waiters.split_off(3 - stay);
        *leaving.lock() = waiters;
        run(&session, tasks, 3);
        assert_eq!(gate.saw.load(Ordering::SeqCst), stay == 0, "{stay} stay");
        assert!(staying.into_iter().map(wait).all(|outcome| outcome.is_ok()));
    }
}

#[test]
fn a_task_that_is_dropped_unanswered_answers_internal() {
    for preserve_ordering in [false, true] {
        let session = session(&Arithmetic::new(), BatchingOptions { preserve_ordering, ..options() });
        let (tasks, mut waiters) = admit(&session, vec![call(matrix(1, vec![1]))]);
        drop(tasks);
        assert_eq!(wait(waiters.remove(0)).unwrap_err().code(), Code::Internal);
    }
}

#[test]
fn what_keeps_the_model_is_kept_until_the_outputs_are_handed_over() {
    let session = session(&Arithmetic::new(), options());
    let kept = Arc::new(());
    let call = Call { keep: Box::new(Arc::clone(&kept)), ..call(matrix(2, vec![1, 2])) };
    let (mut tasks, mut waiters) = admit(&session, vec![call]);
    let mut parts = tasks.remove(0).split(&[1, 1]);
    run(&session, vec![parts.remove(0)], 1);
    assert_eq!(Arc::strong_count(&kept), 2);
    run(&session, parts, 1);
    assert_eq!(Arc::strong_count(&kept), 1);
    assert!(wait(waiters.remove(0)).is_ok());
}

fn is_there(waiter: &mut Waiter) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(pin!(waiter).poll(&mut context), Poll::Ready(_))
}

#[test]
fn ordered_answers_wait_for_those_of_earlier_requests() {
    let session = session(&Arithmetic::new(), BatchingOptions { preserve_ordering: true, ..options() });
    let (mut tasks, mut waiters) = admit(&session, (0..3).map(|v| call(matrix(1, vec![v]))).collect());
    run(&session, vec![tasks.remove(2)], 1);
    run(&session, vec![tasks.remove(1)], 1);
    assert!(!waiters.iter_mut().skip(1).any(is_there));
    run(&session, tasks, 1);
    assert!(waiters.iter_mut().all(is_there));
}

#[test]
fn callers_that_leave_requests_that_are_dropped_and_those_that_fail_hold_up_no_ordered_answer() {
    let session = session(&Arithmetic::new(), BatchingOptions { preserve_ordering: true, ..options() });
    let values = [0, 1, BROKEN, 3];
    let (mut tasks, mut waiters) = admit(&session, values.map(|value| call(matrix(1, vec![value]))).into());
    run(&session, vec![tasks.remove(3)], 1);
    run(&session, vec![tasks.remove(2)], 1);
    let status = Status::unavailable("Request timeout expired");
    session.doors[0].front.dropped(Dropped { task: tasks.remove(1), status });
    assert!(is_there(&mut waiters[1]), "what was not run need not wait");
    assert!(!is_there(&mut waiters[2]));
    drop(waiters.remove(0));
    assert_eq!(wait(waiters.remove(1)).unwrap_err().message(), "the framework failed");
    assert!(wait(waiters.remove(1)).is_ok());
    // The task of the caller that left may still run.
    run(&session, tasks, 1);
}

#[test]
fn a_blocked_caller_returns_at_its_deadline_though_the_model_runs_on() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = parking_lot::Mutex::new(held);
    let (session, _gate) = gated(options(), move || {
        let _ = held.lock().recv();
    });
    let mut late = call(matrix(1, vec![1]));
    late.context.deadline = Some(Instant::now() + Duration::from_millis(20));
    let flag = late.context.cancel.clone();
    let (tasks, mut waiters) = admit(&session, vec![copy(&late)]);
    std::thread::scope(|scope| {
        scope.spawn(|| run(&session, tasks, 1));
        let outcome = waiters.remove(0).wait(late.context.deadline, Cancellation::NEVER);
        assert_eq!(outcome.unwrap_err().code(), Code::DeadlineExceeded);
        assert!(flag.is_cancelled());
        drop(release);
    });
}

#[test]
fn a_blocked_caller_returns_when_its_own_caller_gives_up() {
    let session = session(&Arithmetic::new(), options());
    let (_tasks, mut waiters) = admit(&session, vec![call(matrix(1, vec![1]))]);
    let flag = salver_core_platform::CancelFlag::new();
    std::thread::scope(|scope| {
        scope.spawn(|| flag.cancel());
        let outcome = waiters.remove(0).wait(None, flag.watch());
        assert_eq!(outcome.unwrap_err().code(), Code::Cancelled);
    });
}
