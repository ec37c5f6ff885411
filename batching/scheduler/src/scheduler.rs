//! One pool, many queues.

use std::fmt;
use std::io;
use std::sync::Arc;

use salver_batching_queue::{Batch, Dropped, Queue, QueueOptions, Refused, Task, TimeoutAction};
use salver_batching_tune::Limits;
use salver_core_clock::Clock;
use salver_core_status::Status;

use crate::PoolOptions;
use crate::core::Core;
use crate::limit::Limit;
use crate::pool::{Pool, tell};
use crate::sync::{Event, JoinHandle, Mutex};

/// What runs the batches of one queue. Called from the threads of the pool, several at once, and from those of whoever
/// calls [`QueueHandle::schedule_or_run`]; never with a lock held, so it may schedule tasks, add queues and drop them.
pub trait Consumer<T>: Send + Sync + 'static {
    /// Runs a batch. A panic is caught and logged; the tasks are dropped then.
    fn run(&self, batch: Batch<T>);

    /// Tells whoever wanted a task that it is not run. Must not block. A panic is caught and logged.
    fn dropped(&self, dropped: Dropped<T>);
}

/// A pool of threads that take batches from many queues. Clones share it; the threads end when the last clone and the
/// last queue are gone and nothing waits any more.
pub struct Scheduler<T: Task> {
    owner: Arc<Owner<T>>,
}

/// Ends the threads when it is dropped. The threads have the pool, and not this.
struct Owner<T: Task> {
    options: PoolOptions,
    pool: Arc<Pool<T>>,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    handles: Vec<JoinHandle<()>>,
    has_rejecter: bool,
}

impl<T: Task> Scheduler<T> {
    /// Starts the threads.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option; RESOURCE_EXHAUSTED where a thread cannot be started.
    pub fn start(options: PoolOptions, clock: Arc<dyn Clock>) -> Result<Self, Status> {
        options.check()?;
        let core = Core::new(options.order, Limit::new(&options)?, clock.now());
        let pool = Arc::new(Pool::new(core, clock, options.threads));
        let owner = Arc::new(Owner { options, pool, threads: Mutex::new(Threads::default()) });
        for worker in 0..owner.options.threads {
            // Those that were started end with the owner.
            let thread = owner.pool.start_worker(&owner.options.name, worker).map_err(no_thread)?;
            owner.threads.lock().handles.push(thread);
        }
        Ok(Self { owner })
    }

    /// The settings it was started with.
    pub fn options(&self) -> &PoolOptions {
        &self.owner.options
    }

    /// Adds a queue, whose batches `consumer` runs.
    ///
    /// # Errors
    /// Those of [`QueueOptions::check`]; RESOURCE_EXHAUSTED where its tasks can wait too long, and the thread that
    /// answers them then cannot be started.
    pub fn add_queue(
        &self,
        options: QueueOptions,
        consumer: Arc<dyn Consumer<T>>,
    ) -> Result<QueueHandle<T>, Status> {
        let can_reject = can_reject(&options);
        let queue = Queue::new(options)?;
        if can_reject {
            self.owner.need_rejecter()?;
        }
        let (slot, gone) = self.owner.pool.core.lock().add(queue, Arc::clone(&consumer), can_reject);
        Ok(QueueHandle { owner: Arc::clone(&self.owner), slot, gone, consumer })
    }

    /// How many batches may run at once now: as many as there are threads, or what
    /// [`InFlight::Adaptive`](crate::InFlight) has found.
    pub fn in_flight_limit(&self) -> usize {
        self.owner.pool.core.lock().in_flight_limit()
    }

    /// Looks at the clock: for a clock that jumps, as in a test.
    pub fn nudge(&self) {
        self.owner.pool.look();
    }

    /// The threads, to be joined once the pool has been let go.
    #[cfg(test)]
    pub(crate) fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.owner.threads.lock().handles)
    }
}

impl<T: Task> Owner<T> {
    /// Most pools never have one: it is a thread that only wakes for tasks which wait too long.
    fn need_rejecter(&self) -> Result<(), Status> {
        let mut threads = self.threads.lock();
        if !threads.has_rejecter {
            let thread = self.pool.start_rejecter(&self.options.name).map_err(no_thread)?;
            threads.handles.push(thread);
            threads.has_rejecter = true;
        }
        Ok(())
    }
}

impl<T: Task> Drop for Owner<T> {
    fn drop(&mut self) {
        // Not joined: it may be one of them that drops the last queue.
        self.pool.end();
    }
}

/// A queue of a [`Scheduler`]. Dropping it lets what waits run, and takes no more; it does not wait for that.
pub struct QueueHandle<T: Task> {
    owner: Arc<Owner<T>>,
    slot: usize,
    gone: Arc<Event>,
    consumer: Arc<dyn Consumer<T>>,
}

impl<T: Task> QueueHandle<T> {
    /// Lets a task wait for its batch. Does not block.
    ///
    /// # Errors
    /// Those of [`Queue::push`]. The consumer has been told of tasks that made way: `dropped` is empty.
    pub fn schedule(&self, task: T) -> Result<(), Refused<T>> {
        let pool = &self.owner.pool;
        let now = pool.clock.now();
        let (pushed, wake) = pool.core.lock().push(self.slot, task, now);
        pool.wake(wake);
        pushed.map_err(|refused| self.told(refused))
    }

    /// The same; but where nobody else waits, a batch may run at once and no thread of the pool has a use for it, it is
    /// run here, on the calling thread, in that thread's place. One at most: what becomes ready meanwhile is the pool's.
    ///
    /// # Errors
    /// As [`schedule`](Self::schedule).
    pub fn schedule_or_run(&self, task: T) -> Result<(), Refused<T>> {
        let pool = &self.owner.pool;
        let now = pool.clock.now();
        let (pushed, wake) = pool.core.lock().push_or_take(self.slot, task, now);
        pool.wake(wake);
        if let Some(work) = pushed.map_err(|refused| self.told(refused))? {
            pool.run_here(work);
        }
        Ok(())
    }

    /// Takes no more tasks, and waits until those that waited have run. Blocks; for ever where its own consumer calls it.
    pub fn close(self) {
        let gone = Arc::clone(&self.gone);
        drop(self);
        gone.wait();
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.look(Queue::len)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks of one row could be scheduled now.
    pub fn capacity(&self) -> usize {
        self.look(Queue::capacity)
    }

    /// What was found of size and wait, as [`Queue::limits`].
    pub fn limits(&self) -> Option<Limits> {
        self.owner.pool.core.lock().queue(self.slot).and_then(Queue::limits)
    }

    /// The pool that it is of.
    pub fn scheduler(&self) -> Scheduler<T> {
        Scheduler { owner: Arc::clone(&self.owner) }
    }

    fn look(&self, look: impl FnOnce(&Queue<T>) -> usize) -> usize {
        self.owner.pool.core.lock().queue(self.slot).map_or(0, look)
    }

    fn told(&self, mut refused: Refused<T>) -> Refused<T> {
        tell(&self.consumer, std::mem::take(&mut refused.dropped));
        refused
    }
}

impl<T: Task> Drop for QueueHandle<T> {
    fn drop(&mut self) {
        self.owner.pool.close(self.slot);
    }
}

/// Whether a task can wait so long that it is answered instead of being run.
fn can_reject(options: &QueueOptions) -> bool {
    options.levels.iter().any(|level| {
        let policy = &level.policy;
        let has_timeout = policy.default_timeout.is_some() || policy.allow_timeout_override;
        has_timeout && policy.timeout_action == TimeoutAction::Reject
    })
}

fn no_thread(error: io::Error) -> Status {
    Status::resource_exhausted(format!("starting the threads of a batch pool: {error}"))
}

impl<T: Task> Clone for Scheduler<T> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<T: Task> fmt::Debug for Scheduler<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("options", self.options()).finish_non_exhaustive()
    }
}

impl<T: Task> fmt::Debug for QueueHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueHandle").field("options", &self.owner.options).finish_non_exhaustive()
    }
}
