//! How many runs of one version go on at once, and how many requests may wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use salver_core_status::Status;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits of a version's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateOptions {
    /// How many runs that have a thread of their own may go on at once.
    pub max_running: usize,
    /// How many requests may wait for one of these; one more is refused with UNAVAILABLE.
    pub max_waiting: usize,
}

/// Lets so many in, keeps so many waiting, and refuses the rest. One per version, so that a slow model's requests
/// queue before their own gate only.
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
}

impl Gate {
    pub(crate) fn new(options: GateOptions) -> Self {
        let permits = Semaphore::new(options.max_running.clamp(1, Semaphore::MAX_PERMITS));
        Self { permits: Arc::new(permits), waiting: AtomicUsize::new(0), max_waiting: options.max_waiting }
    }

    /// Waits for a turn, which lasts until the permit is dropped. A future that is dropped leaves the queue.
    ///
    /// # Errors
    /// UNAVAILABLE where too many wait already.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Status> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(self)?;
        Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| Status::internal("the gate of the model is closed"))
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(gate: &'a Gate) -> Result<Self, Status> {
        let place = Self(&gate.waiting);
        let before = gate.waiting.fetch_add(1, Ordering::Relaxed);
        if before < gate.max_waiting {
            return Ok(place);
        }
        Err(Status::unavailable(format!(
            "{before} requests wait for this model already, at most {} may",
            gate.max_waiting
        )))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_status::Code;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn so_many_run_so_many_wait_and_the_next_is_refused() {
        let gate = Gate::new(GateOptions { max_running: 1, max_waiting: 1 });
        let mut first = pin!(gate.enter());
        let Poll::Ready(Ok(running)) = poll(first.as_mut()) else { panic!("the gate is free") };
        let mut second = pin!(gate.enter());
        assert!(poll(second.as_mut()).is_pending());
        let mut third = pin!(gate.enter());
        let Poll::Ready(Err(refused)) = poll(third.as_mut()) else { panic!("the queue is full") };
        assert_eq!(refused.code(), Code::Unavailable);
        drop(running);
        assert!(poll(second.as_mut()).is_ready());
    }

    #[test]
    fn a_request_that_gives_up_leaves_its_place() {
        let gate = Gate::new(GateOptions { max_running: 1, max_waiting: 1 });
        let mut first = pin!(gate.enter());
        let Poll::Ready(Ok(_running)) = poll(first.as_mut()) else { panic!("the gate is free") };
        {
            let mut second = pin!(gate.enter());
            assert!(poll(second.as_mut()).is_pending());
        }
        let mut third = pin!(gate.enter());
        assert!(poll(third.as_mut()).is_pending());
    }
}
