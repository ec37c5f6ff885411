//! On which thread a module runs, and with how many others.
//!
//! libtorch computes with OpenMP, which keeps a team of threads for every thread that computes with more than one: a server
//! with many threads would have many teams. So one thread, the wide one, has a team, and all others compute alone. A run
//! that takes long alone goes to the wide thread when nothing else runs, and is done sooner; under load every run
//! computes alone on the thread that wants it, beside the others, which is what brings most through.
//!
//! The number of threads is OpenMP's, and so each thread's own; a thread that computes for the first time takes libtorch's
//! number for the process (`aten/src/ATen/ParallelOpenMP.cpp`). That number is 1, once the wide thread has taken another.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use salver_core_status::Status;

/// libtorch's numbers, which it has once for the process: set by the first model that is loaded.
static SET: OnceLock<Set> = OnceLock::new();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    intra_op: usize,
    inter_op: Option<usize>,
}

type Job = Box<dyn FnOnce() + Send>;

/// The processor budget, and the wide thread.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    budget: usize,
    wide: Option<Sender<Job>>,
    turns: Arc<Turns>,
}

impl Threads {
    /// Starts the wide thread, where the budget is for more than one. Its team's threads have the priority of the thread
    /// that calls this, whichever loads.
    pub(crate) fn new(budget: usize) -> Self {
        let budget = budget.max(1);
        let turns = Arc::new(Turns { free: Mutex::new(budget), freed: Condvar::new() });
        let (sender, jobs) = channel::<Job>();
        let work = move |jobs: Receiver<Job>| jobs.into_iter().for_each(|job| job());
        let started = (budget > 1)
            .then(|| std::thread::Builder::new().name("torch-wide".to_owned()).spawn(move || work(jobs)));
        let wide = match started {
            Some(Ok(_)) => Some(sender),
            Some(Err(error)) => {
                tracing::warn!(%error, "no thread for runs on several processors: every run takes one");
                None
            }
            None => None,
        };
        Self { budget, wide, turns }
    }

    /// Sets how many threads the wide one has, itself included, where that is not set yet.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where other numbers than these are set.
    pub(crate) fn set(&self, intra_op: Option<usize>, inter_op: Option<usize>) -> Result<(), Status> {
        let set = SET.get_or_init(|| {
            let set = Set { intra_op: intra_op.unwrap_or(self.budget), inter_op };
            let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
            if let Some(inter_op) = inter_op {
                tch::set_num_interop_threads(count(inter_op));
            }
            let width = count(set.intra_op);
            self.on_wide(move || {
                tch::set_num_threads(width);
                // To ask is to compute for the first time.
                tch::get_num_threads();
            });
            tch::set_num_threads(1);
            set
        });
        let refused = |name: &str, wanted: usize, set: String| {
            Err(Status::failed_precondition(format!(
                "option `{name}` is {wanted}, but libtorch has one number for the process, and it is {set} since the \
                 first model was loaded: set it with `--platform-option libtorch.{name}={wanted}`"
            )))
        };
        match (intra_op, inter_op) {
            (Some(wanted), _) if wanted != set.intra_op => {
                refused("intra_op_threads", wanted, set.intra_op.to_string())
            }
            (_, Some(wanted)) if inter_op != set.inter_op => {
                let set = set.inter_op.map_or("libtorch's own".to_owned(), |count| count.to_string());
                refused("inter_op_threads", wanted, set)
            }
            _ => Ok(()),
        }
    }

    /// Runs `work` when the budget has room for it: on the wide thread, where it `may_be_wide` and nothing else runs, else
    /// here. Says whether it was here.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        may_be_wide: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<(T, bool)> {
        let width = SET.get().map_or(1, |set| set.intra_op);
        if may_be_wide
            && width > 1
            && self.wide.is_some()
            && let Some(_turn) = self.turns.take_if_idle(self.budget)
        {
            return self.on_wide(work).map(|result| (result, false));
        }
        let _turn = self.turns.take();
        Some((work(), true))
    }

    /// Runs `work` on the wide thread, and waits for it; `None` where it panicked, or there is no such thread.
    fn on_wide<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, result) = channel();
        let job = Box::new(move || {
            // A panic is told by the sender that is dropped; the thread goes on.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let _ = done.map(|done| sender.send(done));
        });
        self.wide.as_ref()?.send(job).ok()?;
        result.recv().ok()
    }
}

/// As many runs at once as the budget has processors.
#[derive(Debug)]
struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A run's turn, until it is dropped.
struct Turn<'a> {
    turns: &'a Turns,
    count: usize,
}

impl Turns {
    /// Waits for one.
    fn take(&self) -> Turn<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn { turns: self, count: 1 }
    }

    /// All of them, if nobody has one.
    fn take_if_idle(&self, all: usize) -> Option<Turn<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        (*free == all).then(|| {
            *free = 0;
            Turn { turns: self, count: all }
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.turns.free.lock().unwrap_or_else(PoisonError::into_inner) += self.count;
        match self.count {
            1 => self.turns.freed.notify_one(),
            _ => self.turns.freed.notify_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_turns_are_taken_at_once_only_when_nobody_has_one() {
        let turns = Turns { free: Mutex::new(2), freed: Condvar::new() };
        let one = turns.take();
        assert!(turns.take_if_idle(2).is_none());
        drop(one);
        let all = turns.take_if_idle(2).unwrap();
        assert!(turns.take_if_idle(2).is_none());
        drop(all);
        let _both = (turns.take(), turns.take());
    }

    #[test]
    fn work_on_the_wide_thread_returns_and_a_panic_there_is_not_the_end_of_it() {
        let threads = Threads::new(2);
        let name = || std::thread::current().name().map(str::to_owned);
        assert_eq!(threads.on_wide(name).flatten().as_deref(), Some("torch-wide"));
        assert_eq!(threads.on_wide(|| panic!("a cog came loose")), None::<()>);
        assert_eq!(threads.on_wide(|| 7), Some(7));
        assert_eq!(Threads::new(1).on_wide(|| 7), None);
    }
}
