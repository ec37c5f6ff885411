//! Many clients through real pools.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use salver_batching_concat::PadValue;
use salver_batching_parameters::Padding;
use salver_batching_queue::{BatchPadding, Level, PriorityMixing, Task};
use salver_core_platform::OptionValue;
use salver_core_status::Code;

use super::super::*;
use super::fixture::*;

/// A small generator, so that a seed tells the whole schedule of a client.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

const CLIENTS: u64 = 8;
const CALLS: usize = 200;
const ODDS: u64 = 24;

fn random_call(dice: &mut Dice, max_rows: u64, is_ragged: bool) -> Call {
    let rows = 1 + dice.roll(max_rows) as usize;
    let width = 1 + dice.roll(3) as usize;
    let mut values: Vec<i64> = (0..rows * width).map(|_| dice.roll(1 << 40) as i64).collect();
    match dice.roll(ODDS) {
        0 => values[0] = BAD,
        1 => return call(matrix(0, vec![])),
        _ => {}
    }
    let mut call = call(matrix(rows, values));
    if is_ragged {
        // The sums of padded rows are others.
        call.outputs = vec![TRIPLED];
    } else if dice.roll(2) == 0 {
        call.outputs = vec![SUMS, TRIPLED];
    }
    if dice.roll(3) == 0 {
        call.inputs[1] = Some(vector((0..rows).map(|_| dice.roll(1 << 20) as i64).collect()));
    }
    call.context.parameters.set("priority", OptionValue::Int(dice.roll(3) as i64));
    call
}

/// What keeps a model, counted when it is let go.
struct Kept(Arc<AtomicUsize>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Makes batches of whatever is there, of random sizes, parts and padding, as long as somebody may bring more.
fn mix(session: &Session, tasks: &Mutex<Receiver<SessionTask>>, mut dice: Dice) {
    loop {
        let mut there: Vec<SessionTask> = {
            let tasks = tasks.lock();
            let Ok(first) = tasks.recv() else { return };
            std::iter::once(first).chain(tasks.try_iter()).collect()
        };
        while let Some(task) = there.pop() {
            let key = task.key();
            let (mut batch, others): (Vec<_>, Vec<_>) =
                there.into_iter().partition(|other| other.key() == key && dice.roll(8) > 0);
            there = others;
            let cut = 1 + dice.roll(task.size() as u64) as usize;
            if cut < task.size() {
                let sizes = [cut, task.size() - cut];
                let mut parts = task.split(&sizes);
                batch.extend(parts.pop());
                // The other part goes with a later batch.
                there.splice(..0, parts);
            } else {
                batch.push(task);
            }
            let padding = if key.form().alone.is_some() { 0 } else { dice.roll(4) as usize };
            let rows: usize = batch.iter().map(SessionTask::size).sum();
            run(session, batch, rows + padding);
        }
    }
}

#[test]
fn many_clients_get_their_own_answers_from_batches_of_any_mixture() {
    for (is_ragged, preserve_ordering) in [(false, false), (true, false), (false, true), (true, true)] {
        let options = if is_ragged { ragged() } else { options() };
        let session = &session(&Arithmetic::new(), BatchingOptions { preserve_ordering, ..options });
        let (sender, receiver) = channel();
        let receiver = &Mutex::new(receiver);
        let let_go = &Arc::new(AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for mixer in 0..3 {
                scope.spawn(move || mix(session, receiver, Dice(77 + mixer)));
            }
            for client in 0..CLIENTS {
                let sender = sender.clone();
                scope.spawn(move || {
                    let mut dice = Dice(0x1234_5678 ^ (client + 1));
                    // Several at once, so that batches are of many.
                    for _ in 0..CALLS / 4 {
                        let calls: Vec<Call> = (0..4).map(|_| random_call(&mut dice, 5, is_ragged)).collect();
                        let wanted: Vec<_> = calls.iter().map(unbatched).collect();
                        let keep = |call| Call { keep: Box::new(Kept(Arc::clone(let_go))), ..call };
                        let (made, waiters) = admit(session, calls.into_iter().map(keep).collect());
                        made.into_iter().for_each(|task| sender.send(task).unwrap());
                        for (waiter, wanted) in waiters.into_iter().zip(wanted) {
                            match dice.roll(8) {
                                0 => drop(waiter),
                                _ => assert_eq!(wait(waiter), wanted),
                            }
                        }
                    }
                });
            }
            drop(sender);
        });
        assert_eq!(let_go.load(Ordering::SeqCst), CLIENTS as usize * CALLS);
    }
}

fn drive(session: Session, max_rows: u64, is_ragged: bool) {
    let let_go = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (session, let_go) = (&session, &let_go);
            scope.spawn(move || {
                let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (client + 1));
                for _ in 0..CALLS {
                    let call = random_call(&mut dice, max_rows, is_ragged);
                    let wanted = unbatched(&call);
                    let call = Call { keep: Box::new(Kept(Arc::clone(let_go))), ..call };
                    match dice.roll(4) {
                        0 => {
                            // Asked for, and left behind.
                            let mut future = std::pin::pin!(session.run(call, false));
                            let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                        }
                        1 => {
                            let Entered::Waits(waiter) = session.enter(call, false, true).unwrap() else {
                                panic!("was to wait")
                            };
                            assert_eq!(wait(waiter), wanted);
                        }
                        _ => assert_eq!(session.run_blocking(call), wanted),
                    }
                }
            });
        }
    });
    for door in session.doors {
        if let Ok(line) = door.queue {
            line.queue.close();
        }
    }
    assert_eq!(let_go.load(Ordering::SeqCst), CLIENTS as usize * CALLS);
}

fn level() -> Level {
    Level {
        max_batch_size: 16,
        max_execution_batch_size: 16,
        batch_timeout: Duration::from_micros(200),
        max_enqueued_batches: 10_000,
        ..Level::default()
    }
}

#[test]
fn many_clients_get_their_own_answers() {
    for preserve_ordering in [false, true] {
        let mut options = BatchingOptions { preserve_ordering, ..options() };
        options.queue.levels = vec![level()];
        drive(session(&Arithmetic::new(), options), 5, false);
    }
}

#[test]
fn many_clients_get_their_own_answers_under_every_policy() {
    let mixings = [
        PriorityMixing::PadToMax,
        PriorityMixing::PadToNextAllowed,
        PriorityMixing::Isolate,
        PriorityMixing::Merge,
    ];
    let paddings = [
        BatchPadding::PadUp,
        BatchPadding::BatchDown,
        BatchPadding::MinimizeCostPerRequest,
        BatchPadding::Disabled,
    ];
    for (mixing, padding) in mixings.into_iter().zip(paddings) {
        let mut options = options();
        let level = Level { max_batch_size: 64, allowed_batch_sizes: vec![2, 4, 8, 16], ..level() };
        options.queue.levels = vec![level; 2];
        options.queue.default_level = 1;
        options.queue.enable_large_batch_splitting = true;
        (options.queue.mixing, options.queue.padding) = (mixing, padding);
        drive(session(&Arithmetic::new(), options), 40, false);
    }
}

#[test]
fn many_clients_of_many_shapes_get_their_own_answers_where_they_are_padded() {
    let mut options = ragged();
    options.queue.levels = vec![level()];
    options.padding = Some(Padding { value: PadValue::Zero, ..options.padding.unwrap_or_default() });
    drive(session(&Arithmetic::new(), options), 5, true);
}

#[test]
fn a_run_can_be_awaited_on_any_thread() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let mut options = options();
    options.queue.levels = vec![level()];
    let session = session(&Arithmetic::new(), options);
    let mut future = std::pin::pin!(is_send(session.run(call(matrix(1, vec![1])), true)));
    let (sender, woken) = std::sync::mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(sender)));
    let outcome = loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => break outcome,
            Poll::Pending => woken.recv().unwrap(),
        }
    };
    assert_eq!(outcome, unbatched(&call(matrix(1, vec![1]))));
}

struct Bell(std::sync::mpsc::Sender<()>);

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

#[test]
fn a_session_that_goes_while_it_is_busy_answers_everybody() {
    let mut options = options();
    options.queue.levels = vec![Level { batch_timeout: Duration::from_secs(3600), ..level() }];
    let session = session(&Arithmetic::new(), options);
    let calls: Vec<Call> = (0..50).map(|value| call(matrix(1, vec![value]))).collect();
    let enter = |call: &Call| match session.enter(copy(call), false, false).unwrap() {
        Entered::Waits(waiter) => waiter,
        Entered::Answered(_) => panic!("was to wait"),
    };
    let waiters: Vec<Waiter> = calls.iter().map(enter).collect();
    drop(session);
    for (waiter, call) in waiters.into_iter().zip(&calls) {
        assert_eq!(wait(waiter), unbatched(call));
    }
}
#[test]
fn a_request_that_is_too_large_is_refused() {
    let mut options = options();
    options.queue.levels = vec![level()];
    let session = session(&Arithmetic::new(), options);
    let status = session.run_blocking(call(matrix(17, (0..17).collect()))).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}
