//! How many runs of one version go on at once, and how many requests may wait for their turn.
//!
//! A thread that has finished a run takes the next one that waits by itself: as long as requests wait, no thread is woken
//! between two runs, which on a virtual machine takes as long as a short run does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use salver_core_status::Status;
use tokio::sync::oneshot;

/// The limits of a version's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateOptions {
    /// How many runs that have a thread of their own may go on at once; one where it is 0.
    pub max_running: usize,
    /// How many requests may wait for one of these; one more is refused with UNAVAILABLE.
    pub max_waiting: usize,
}

/// Lets so many run, keeps so many waiting, and refuses the rest. One per version, so that a slow model's requests
/// queue before their own gate only.
pub(crate) struct Gate(Arc<Shared>);

type Work = Box<dyn FnOnce() + Send>;

struct Shared(Mutex<Line<Work>>);

impl Gate {
    pub(crate) fn new(options: GateOptions) -> Self {
        Self(Arc::new(Shared(Mutex::new(Line::new(options)))))
    }

    /// Does `work` on a thread that may block, when its turn comes. A future that is dropped before leaves the line, and
    /// takes the work with it; one that is dropped later leaves the work behind, which keeps its place until it is done.
    ///
    /// # Errors
    /// UNAVAILABLE where too many wait already.
    pub(crate) async fn run<T>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status>
    where
        T: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        // Whoever waited may be gone.
        let work: Work = Box::new(move || drop(answer.send(work())));
        let entered = self.0.line().enter(work);
        let _place = match entered {
            Entered::Runs(work) => {
                let runner = Runner { shared: Arc::clone(&self.0), has_place: true };
                tokio::task::spawn_blocking(move || runner.run(work));
                None
            }
            Entered::Waits(ticket) => Some(Place { shared: &self.0, ticket }),
            Entered::Refused(work, waiting) => {
                drop(work);
                return Err(Status::unavailable(format!(
                    "{waiting} requests wait for this model already, at most {waiting} may"
                )));
            }
        };
        answered.await.map_err(|_| Status::internal("the run was lost: its thread ended"))
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line, left when dropped.
struct Place<'a> {
    shared: &'a Shared,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Bound, so that the work is dropped when the lock is not held any more.
        let work = self.shared.line().leave(self.ticket);
        drop(work);
    }
}

/// A thread that runs.
struct Runner {
    shared: Arc<Shared>,
    has_place: bool,
}

impl Runner {
    fn run(mut self, first: Work) {
        let mut work = first;
        for _ in 0..RUNS_IN_A_ROW {
            work();
            let Some(next) = self.shared.line().next() else {
                self.has_place = false;
                return;
            };
            work = next;
        }
        tokio::task::spawn_blocking(move || self.run(work));
    }
}

/// How many runs a thread does before it lets those of other versions have it. The runtime has a bounded number of threads,
/// which versions whose requests never cease would keep for themselves.
const RUNS_IN_A_ROW: usize = 64;

/// A thread that never began, since the runtime ends, or that did not come to the end of its work.
impl Drop for Runner {
    fn drop(&mut self) {
        if self.has_place {
            let stranded = self.shared.line().give_up();
            drop(stranded);
        }
    }
}

/// Who runs and who waits: what the gate decides, free of threads.
struct Line<W> {
    options: GateOptions,
    running: usize,
    /// Tickets go up.
    waiting: VecDeque<(u64, W)>,
    next_ticket: u64,
}

/// What becomes of work that enters.
#[derive(Debug, PartialEq)]
enum Entered<W> {
    /// It is to be run, by a thread that then asks for the [`next`](Line::next).
    Runs(W),
    /// It waits, under this ticket.
    Waits(u64),
    /// So many wait already.
    Refused(W, usize),
}

impl<W> Line<W> {
    fn new(options: GateOptions) -> Self {
        Self { options, running: 0, waiting: VecDeque::new(), next_ticket: 0 }
    }

    fn enter(&mut self, work: W) -> Entered<W> {
        // Who waits is taken over by who runs: where somebody waits, all places are taken.
        if self.running < self.options.max_running.max(1) {
            self.running += 1;
            return Entered::Runs(work);
        }
        if self.waiting.len() >= self.options.max_waiting {
            return Entered::Refused(work, self.waiting.len());
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back((ticket, work));
        Entered::Waits(ticket)
    }

    /// The next work for a thread that has done one; its place is free where there is none.
    fn next(&mut self) -> Option<W> {
        let next = self.waiting.pop_front().map(|(_, work)| work);
        if next.is_none() {
            self.running -= 1;
        }
        next
    }

    /// The work that waits under this ticket, where it still does.
    fn leave(&mut self, ticket: u64) -> Option<W> {
        let index = self.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        self.waiting.remove(index).map(|(_, work)| work)
    }

    /// Frees a place that will not ask for more work; the work that nobody will run where it was the last.
    fn give_up(&mut self) -> VecDeque<(u64, W)> {
        self.running -= 1;
        if self.running > 0 {
            return VecDeque::new();
        }
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_status::Code;
    use std::sync::mpsc;

    fn line(max_running: usize, max_waiting: usize) -> Line<&'static str> {
        Line::new(GateOptions { max_running, max_waiting })
    }

    #[test]
    fn so_many_run_so_many_wait_and_the_next_is_refused() {
        let mut line = line(2, 2);
        assert_eq!(line.enter("a"), Entered::Runs("a"));
        assert_eq!(line.enter("b"), Entered::Runs("b"));
        assert_eq!(line.enter("c"), Entered::Waits(0));
        assert_eq!(line.enter("d"), Entered::Waits(1));
        assert_eq!(line.enter("e"), Entered::Refused("e", 2));
    }

    #[test]
    fn who_has_run_takes_who_has_waited_longest_and_frees_its_place_where_nobody_does() {
        let mut line = line(1, 9);
        assert_eq!(line.enter("a"), Entered::Runs("a"));
        assert_eq!(line.enter("b"), Entered::Waits(0));
        assert_eq!(line.enter("c"), Entered::Waits(1));
        assert_eq!((line.next(), line.next()), (Some("b"), Some("c")));
        assert_eq!(line.enter("d"), Entered::Waits(2), "`c` is running");
        assert_eq!((line.next(), line.next()), (Some("d"), None));
        assert_eq!(line.enter("e"), Entered::Runs("e"));
    }

    #[test]
    fn who_gives_up_leaves_its_place_to_another() {
        let mut line = line(1, 2);
        assert_eq!(line.enter("a"), Entered::Runs("a"));
        assert_eq!((line.enter("b"), line.enter("c")), (Entered::Waits(0), Entered::Waits(1)));
        assert_eq!((line.leave(0), line.leave(0)), (Some("b"), None));
        assert_eq!(line.enter("d"), Entered::Waits(2));
        assert_eq!((line.next(), line.leave(1)), (Some("c"), None));
        assert_eq!((line.next(), line.next()), (Some("d"), None));
    }

    #[test]
    fn work_that_nobody_will_run_is_not_kept() {
        let mut line = line(2, 2);
        assert_eq!((line.enter("a"), line.enter("b")), (Entered::Runs("a"), Entered::Runs("b")));
        assert_eq!(line.enter("c"), Entered::Waits(0));
        assert!(line.give_up().is_empty(), "`b` will take it");
        assert_eq!(line.give_up(), [(0, "c")]);
        assert_eq!(line.enter("d"), Entered::Runs("d"));
    }

    #[test]
    fn a_gate_without_places_has_one() {
        let mut line = line(0, 0);
        assert_eq!(line.enter("a"), Entered::Runs("a"));
        assert_eq!(line.enter("b"), Entered::Refused("b", 0));
    }

    #[tokio::test]
    async fn one_thread_runs_all_that_waits_in_order() {
        let gate = Gate::new(GateOptions { max_running: 1, max_waiting: 10 });
        let (go, gone) = mpsc::channel::<()>();
        let first = gate.run(move || {
            gone.recv().unwrap();
            std::thread::current().id()
        });
        let rest = (0..5).map(|_| gate.run(|| std::thread::current().id()));
        let all = futures_util::future::join_all(
            std::iter::once(futures_util::future::Either::Left(first))
                .chain(rest.map(futures_util::future::Either::Right)),
        );
        let send = async move { go.send(()).unwrap() };
        let (threads, ()) = futures_util::future::join(all, send).await;
        let threads: Vec<_> = threads.into_iter().collect::<Result<_, _>>().unwrap();
        assert!(threads.iter().all(|thread| *thread == threads[0]), "{threads:?}");
    }

    #[tokio::test]
    async fn work_whose_future_is_dropped_while_it_waits_is_never_done() {
        let gate = Gate::new(GateOptions { max_running: 1, max_waiting: 1 });
        let (go, gone) = mpsc::channel::<()>();
        let first = gate.run(move || gone.recv().unwrap());
        let mut first = std::pin::pin!(first);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        {
            let mut second = std::pin::pin!(gate.run(|| panic!("it was dropped")));
            assert!(second.as_mut().poll(&mut context).is_pending());
            let refused = gate.run(|| ()).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable);
        }
        let third = gate.run(|| 3);
        go.send(()).unwrap();
        assert_eq!(third.await, Ok(3));
        assert_eq!(first.await, Ok(()));
    }

    #[test]
    fn a_version_whose_requests_never_cease_lets_another_have_the_thread() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.max_blocking_threads(1).build().unwrap();
        let _entered = runtime.enter();
        let gate = || Gate::new(GateOptions { max_running: 1, max_waiting: 1000 });
        let (busy, other) = (gate(), gate());
        let (go, gone) = mpsc::channel::<()>();
        let (done, order) = mpsc::channel();
        let run = |gate, name: &'static str| {
            let done = done.clone();
            Gate::run(gate, move || done.send(name).unwrap())
        };
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // All are in line before the first is let go.
        let mut first = std::pin::pin!(busy.run(move || gone.recv().unwrap()));
        assert!(first.as_mut().poll(&mut context).is_pending());
        let mut runs: Vec<_> = (0..3 * RUNS_IN_A_ROW).map(|_| Box::pin(run(&busy, "busy"))).collect();
        runs.push(Box::pin(run(&other, "other")));
        for run in &mut runs {
            assert!(run.as_mut().poll(&mut context).is_pending());
        }
        go.send(()).unwrap();
        runtime.block_on(async {
            first.await.unwrap();
            for run in runs {
                run.await.unwrap();
            }
        });
        let before = order.iter().take_while(|name| *name == "busy").count();
        assert_eq!(before, RUNS_IN_A_ROW - 1, "beside the first");
    }

    #[test]
    fn work_of_a_runtime_that_has_ended_is_lost_and_not_waited_for() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let gate = Gate::new(GateOptions { max_running: 1, max_waiting: 1 });
        let ended = runtime();
        let handle = ended.handle().clone();
        ended.shutdown_background();
        {
            let _entered = handle.enter();
            let mut lost = std::pin::pin!(gate.run(|| ()));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let std::task::Poll::Ready(Err(lost)) = lost.as_mut().poll(&mut context) else {
                panic!("it ran")
            };
            assert_eq!(lost.code(), Code::Internal);
        }
        assert_eq!(runtime().block_on(gate.run(|| 4)), Ok(4));
    }
}
