//! The answer to one call: given at most once, taken at most once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use salver_core_platform::{CancelFlag, Cancellation};
use salver_core_status::Status;
use salver_core_tensor::Tensor;

use crate::order::Place;

/// What a call comes to.
pub(crate) type Outcome = Result<Vec<Tensor>, Status>;

/// Where the answer to a call is left for its caller.
#[derive(Default)]
pub(crate) struct Reply {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
    /// The batches that the call, or a part of it, runs in.
    batches: Vec<Arc<Together>>,
    has_left: bool,
}

/// Whether anybody still wants a batch that runs.
pub(crate) struct Together {
    flags: Vec<CancelFlag>,
    /// Set when all of them are.
    pub(crate) whole: CancelFlag,
}

/// The caller's end of a reply. Dropping it before the answer is there gives the call up.
pub(crate) struct Waiter {
    reply: Arc<Reply>,
    cancel: CancelFlag,
    place: Option<Place>,
    is_done: bool,
}

impl Reply {
    /// Leaves the answer, and wakes the caller.
    pub(crate) fn give(&self, outcome: Outcome) {
        let mut state = self.state.lock();
        if state.has_left {
            // Tensors are freed outside the lock.
            drop(state);
            return;
        }
        state.outcome = Some(outcome);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes that the call runs in a batch, which is to hear of its caller's leaving.
    pub(crate) fn runs_in(&self, batch: &Arc<Together>) {
        self.state.lock().batches.push(Arc::clone(batch));
    }
}

impl Together {
    pub(crate) fn new(flags: Vec<CancelFlag>) -> Self {
        Self { flags, whole: CancelFlag::new() }
    }

    /// Sets the flag of the whole where nobody is left.
    pub(crate) fn look(&self) {
        if self.flags.iter().all(CancelFlag::is_cancelled) {
            self.whole.cancel();
        }
    }
}

impl Waiter {
    pub(crate) fn new(reply: Arc<Reply>, cancel: CancelFlag, place: Option<Place>) -> Self {
        Self { reply, cancel, place, is_done: false }
    }

    /// Waits no more, for a call that no queue took.
    pub(crate) fn leave(mut self) {
        self.is_done = true;
    }

    /// Blocks until the answer is there, the deadline passes, or the caller's own caller gives up. Nobody tells of the
    /// latter, whose word another language sets, or another process: it is looked at now and then.
    pub(crate) fn wait(mut self, deadline: Option<Instant>, cancel: Cancellation<'_>) -> Outcome {
        const LOOK: Duration = Duration::from_millis(5);
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut self).poll(&mut context) {
                return outcome;
            }
            if cancel.is_cancelled() {
                return Err(Status::cancelled("the caller gave up"));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Status::deadline_exceeded("the deadline passed before the model answered"));
            }
            let look = cancel.word().map(|_| LOOK);
            match left.into_iter().chain(look).min() {
                Some(limit) => std::thread::park_timeout(limit),
                None => std::thread::park(),
            }
        }
    }
}

impl Future for Waiter {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.reply.state.lock();
        if let Some(outcome) = state.outcome.take() {
            drop(state);
            self.is_done = true;
            return Poll::Ready(outcome);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            waker => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // Before the lock: a batch that is not among those below looks at the flag when it begins.
        self.cancel.cancel();
        let mut state = self.reply.state.lock();
        state.has_left = true;
        let left = (state.outcome.take(), state.waker.take(), std::mem::take(&mut state.batches));
        drop(state);
        left.2.iter().for_each(|batch| batch.look());
        if let Some(place) = &self.place {
            place.give_up();
        }
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
