//! Batches put together by hand.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use salver_batching_queue::{Level, Task};
use salver_core_platform::{OptionValue, Options, TraceContext};
use salver_core_status::Code;

use super::super::*;
use super::fixture::*;

#[test]
fn requests_get_what_the_model_would_have_told_each_alone() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let calls = || {
        let mut second = call(matrix(2, vec![4, 5, 6, 7]));
        second.inputs[1] = Some(vector(vec![10, 20]));
        let mut first = call(matrix(1, vec![1, 2]));
        first.inputs[1] = Some(vector(vec![7]));
        vec![first, second]
    };
    let outcomes = run_together(&session, calls(), 3);
    assert_eq!(outcomes, calls().iter().map(unbatched).collect::<Vec<_>>());
    assert_eq!(model.runs(), 1);
}

#[test]
fn a_lone_request_without_padding_is_run_on_its_own_memory() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let x = matrix(2, vec![1, 2, 3, 4]);
    let address = x.fixed().unwrap().as_ptr().addr();
    let outcomes = run_together(&session, vec![call(x)], 2);
    assert!(outcomes[0].is_ok());
    assert_eq!(model.seen.lock()[0].address, address);
}

#[test]
fn rows_of_padding_are_run_and_left_out() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let calls = || vec![call(matrix(1, vec![1])), call(matrix(2, vec![2, 3]))];
    let outcomes = run_together(&session, calls(), 8);
    assert_eq!(outcomes, calls().iter().map(unbatched).collect::<Vec<_>>());
    assert_eq!(model.seen.lock()[0].shape, [8, 1]);
}

#[test]
fn outputs_come_in_the_order_each_request_wants_them_in() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let calls = || {
        let mut turned = call(matrix(1, vec![2]));
        turned.outputs = vec![SUMS, TRIPLED];
        vec![call(matrix(1, vec![1])), turned]
    };
    let (tasks, waiters) = admit(&session, calls());
    assert_eq!(tasks[0].key(), tasks[1].key());
    run(&session, tasks, 2);
    let outcomes: Vec<_> = waiters.into_iter().map(wait).collect();
    assert_eq!(outcomes, calls().iter().map(unbatched).collect::<Vec<_>>());
}

#[test]
fn requests_that_differ_in_what_the_model_sees_do_not_share_a_batch() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let base = || call(matrix(1, vec![1, 2]));
    let with = |name: &str, value: OptionValue| {
        let mut call = base();
        call.context.parameters.set(name, value);
        call
    };
    let mut wider = base();
    wider.inputs[0] = Some(matrix(1, vec![1, 2, 3]));
    let mut more = base();
    more.inputs[1] = Some(vector(vec![1]));
    let mut fewer = base();
    fewer.outputs = vec![SUMS];
    let nan = || with("threshold", OptionValue::Float(f64::NAN));
    let odd = vec![wider, more, fewer, nan(), with("threshold", OptionValue::Int(1))];
    let (odd, _waiters) = admit(&session, odd);
    let alike = vec![base(), call(matrix(2, vec![1, 2, 3, 4])), with("priority", OptionValue::Int(2))];
    let (alike, _others) = admit(&session, alike);
    assert!(alike.iter().all(|task| task.key() == alike[0].key()));
    for (index, task) in odd.iter().enumerate() {
        assert!(alike.iter().all(|other| other.key() != task.key()), "{index}");
        assert!(odd[..index].iter().all(|other| other.key() != task.key()), "{index}");
    }
    let (nans, _waiters) = admit(&session, vec![nan(), nan()]);
    assert_eq!(nans[0].key(), nans[1].key());
}

#[test]
fn shapes_differ_where_they_are_padded_and_outputs_are_cut_again() {
    let model = Arithmetic::new();
    let session = session(&model, ragged());
    let of = |rows, values| {
        let mut call = call(matrix(rows, values));
        call.outputs = vec![TRIPLED];
        call
    };
    let calls = || vec![of(1, vec![1, 2, 3]), of(2, vec![4, 5]), of(1, vec![6, 7])];
    let (tasks, waiters) = admit(&session, calls());
    assert!(tasks.iter().all(|task| task.key() == tasks[0].key()));
    run(&session, tasks, 6);
    let outcomes: Vec<_> = waiters.into_iter().map(wait).collect();
    assert_eq!(outcomes, calls().iter().map(unbatched).collect::<Vec<_>>());
    assert_eq!(model.seen.lock()[0].shape, [6, 3]);
}

#[test]
fn a_long_request_does_not_make_short_ones_long() {
    const LONG: usize = 1 << 18;
    let model = Arithmetic::new();
    let session = session(&model, ragged());
    let calls = || {
        let mut calls: Vec<Call> = (0..31).map(|value| call(matrix(1, vec![value]))).collect();
        calls.push(call(matrix(1, vec![1; LONG])));
        calls.iter_mut().for_each(|call| call.outputs = vec![TRIPLED]);
        calls
    };
    let outcomes = run_together(&session, calls(), 32);
    assert!(outcomes.iter().zip(&calls()).all(|(found, call)| *found == unbatched(call)));
    let elements = |seen: &Seen| seen.shape.iter().product::<i64>() as usize;
    let run: usize = model.seen.lock().iter().map(elements).sum();
    assert!(run < 9 * LONG, "{run}");
}

#[test]
fn halves_leave_out_who_gave_up_in_the_meantime() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let leaver = call(matrix(1, vec![1]));
    let flag = leaver.context.cancel.clone();
    let (tasks, mut waiters) =
        admit(&session, vec![leaver, call(matrix(1, vec![BAD])), call(matrix(1, vec![2]))]);
    flag.cancel();
    run(&session, tasks, 3);
    let codes: Vec<_> =
        waiters.drain(..).map(|waiter| wait(waiter).err().map(|status| status.code())).collect();
    assert_eq!(codes, [Some(Code::Cancelled), Some(Code::InvalidArgument), None]);
}

#[test]
fn an_output_that_does_not_follow_the_rows_fails_the_batch_by_name() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let mut odd = call(matrix(2, vec![1, 2]));
    odd.outputs = vec![TRIPLED, ODD];
    let status = run_together(&session, vec![odd], 2).remove(0).unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "output `odd` has shape [1], the batch has 2 rows");
}

#[test]
fn a_bad_request_fails_alone_and_is_found_by_halves() {
    const N: usize = 16;
    for bad in 0..N {
        let model = Arithmetic::new();
        let session = session(&model, options());
        let calls = || -> Vec<Call> {
            (0..N).map(|at| call(matrix(1, vec![if at == bad { BAD } else { at as i64 }]))).collect()
        };
        let outcomes = run_together(&session, calls(), N);
        assert_eq!(outcomes, calls().iter().map(unbatched).collect::<Vec<_>>());
        assert_eq!(model.runs(), 1 + 2 * 4);
    }
}

#[test]
fn halves_are_run_with_sizes_that_are_allowed() {
    let mut options = options();
    let level = Level {
        max_batch_size: 8,
        max_execution_batch_size: 8,
        allowed_batch_sizes: vec![4, 8],
        ..Level::default()
    };
    options.queue.levels = vec![level];
    let model = Arithmetic::new();
    let session = session(&model, options);
    let calls = vec![call(matrix(2, vec![1, 2])), call(matrix(3, vec![3, BAD, 4]))];
    let outcomes = run_together(&session, calls, 8);
    assert!(outcomes[0].is_ok());
    assert!(outcomes[1].is_err());
    let rows: Vec<i64> = model.seen.lock().iter().map(|seen| seen.shape[0]).collect();
    assert_eq!(rows, [8, 4, 4]);
}

#[test]
fn what_is_nobody_s_fault_fails_all_and_is_not_tried_again() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let calls = |value| vec![call(matrix(1, vec![1])), call(matrix(1, vec![value]))];
    for (value, message) in [(BROKEN, "the framework failed"), (PANIC, "the model panicked")] {
        for outcome in run_together(&session, calls(value), 2) {
            let status = outcome.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Internal, message));
        }
    }
    assert_eq!(model.runs(), 2);
    assert!(run_together(&session, calls(2), 2).iter().all(Result::is_ok));
}

#[test]
fn a_batch_has_the_latest_deadline_one_sampled_trace_and_an_id_only_of_a_lone_request() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let now = Instant::now();
    let of = |seconds: Option<u64>, flags| {
        let mut call = call(matrix(1, vec![1]));
        call.context.deadline = seconds.map(|seconds| now + Duration::from_secs(seconds));
        call.context.trace = TraceContext { trace_id: [flags; 16], span_id: [1; 8], flags };
        call.context.request_id = "mine".to_owned();
        call.context.parameters.set("priority", OptionValue::Int(0));
        call
    };
    run_together(&session, vec![of(Some(50), 0), of(Some(90), 1)], 2);
    run_together(&session, vec![of(Some(50), 0), of(None, 0)], 2);
    run_together(&session, vec![of(Some(50), 0)], 1);
    let seen = model.seen.lock();
    assert_eq!(seen[0].deadline, Some(now + Duration::from_secs(90)));
    assert_eq!((seen[0].trace.flags, &*seen[0].request_id), (1, ""));
    assert_eq!(seen[1].deadline, None);
    assert_eq!(seen[2].deadline, Some(now + Duration::from_secs(50)));
    assert_eq!(seen[2].request_id, "mine");
    assert!(seen.iter().all(|seen| seen.parameters == Options::new()));
}

#[test]
fn parts_of_a_large_request_are_joined_in_order_whichever_runs_first() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let large = || call(matrix(7, (0..14).collect()));
    let small = || call(matrix(1, vec![100, 200]));
    let (mut tasks, mut waiters) = admit(&session, vec![large(), small()]);
    let (neighbour, whole) = (tasks.pop().unwrap(), tasks.pop().unwrap());
    let mut parts = whole.split(&[3, 3, 1]);
    run(&session, vec![neighbour, parts.pop().unwrap()], 2);
    run(&session, vec![parts.pop().unwrap()], 4);
    run(&session, parts, 3);
    assert_eq!(wait(waiters.pop().unwrap()), unbatched(&small()));
    assert_eq!(wait(waiters.pop().unwrap()), unbatched(&large()));
}

#[test]
fn a_part_that_fails_fails_the_request_once_and_the_others_need_not_be_run() {
    let model = Arithmetic::new();
    let session = session(&model, options());
    let (mut tasks, mut waiters) = admit(&session, vec![call(matrix(3, vec![1, 2, BROKEN]))]);
    let mut parts = tasks.pop().unwrap().split(&[1, 1, 1]);
    run(&session, vec![parts.pop().unwrap()], 1);
    assert!(parts.iter().all(|part| part.given_up(Instant::now()).is_some()));
    run(&session, parts, 2);
    assert_eq!(wait(waiters.pop().unwrap()).unwrap_err().message(), "the framework failed");
}

#[derive(Clone, Debug)]
struct Shape {
    rows: usize,
    width: usize,
    values: Vec<i64>,
    cuts: Vec<usize>,
}

fn shape(max_width: usize) -> impl Strategy<Value = Shape> {
    let value = prop_oneof![20 => any::<i64>(), 1 => Just(BAD)];
    (1usize..6, 1..=max_width, prop::collection::vec(value, 64), prop::collection::vec(1usize..4, 6))
        .prop_map(|(rows, width, values, cuts)| Shape { rows, width, values, cuts })
}

impl Shape {
    fn call(&self) -> Call {
        let mut call = call(matrix(self.rows, self.values[..self.rows * self.width].to_vec()));
        call.outputs = vec![TRIPLED];
        call
    }

    /// Sizes that add up to its rows.
    fn sizes(&self) -> Vec<usize> {
        let mut left = self.rows;
        let mut sizes = Vec::new();
        for cut in &self.cuts {
            let size = left.min(*cut);
            left -= size;
            sizes.push(size);
        }
        sizes.push(left);
        sizes.retain(|size| *size > 0);
        sizes
    }
}

proptest! {
    /// Any requests, cut into any parts, in batches of any size with any padding, get what they would have got alone.
    #[test]
    fn batched_is_the_same_as_alone(
        shapes in prop::collection::vec(shape(4), 1..8),
        per_batch in 1usize..6,
        padding in 0usize..4,
        is_ordered in any::<bool>(),
    ) {
        let model = Arithmetic::new();
        let options = BatchingOptions { preserve_ordering: is_ordered, ..ragged() };
        let session = session(&model, options);
        let (tasks, waiters) = admit(&session, shapes.iter().map(Shape::call).collect());
        let mut parts: Vec<SessionTask> = Vec::new();
        for (task, shape) in tasks.into_iter().zip(&shapes) {
            parts.extend(task.split(&shape.sizes()));
        }
        // The last first: answers must not depend on the order of batches.
        while !parts.is_empty() {
            let batch = parts.split_off(parts.len().saturating_sub(per_batch));
            let rows: usize = batch.iter().map(Task::size).sum();
            run(&session, batch, rows + padding);
        }
        for (waiter, shape) in waiters.into_iter().zip(&shapes) {
            prop_assert_eq!(wait(waiter), unbatched(&shape.call()));
        }
    }
}
