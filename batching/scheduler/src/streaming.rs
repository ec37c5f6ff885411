//! Batches that are handed over when they open, and filled while they run.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salver_batching_queue::{Refused, Task};
use salver_core_clock::Clock;
use salver_core_status::Status;

use crate::options::check_threads;
use crate::pool::guarded;
use crate::sync::{Builder, JoinHandle};

mod batch;

pub use batch::BatchStream;
use batch::Filling;

/// The settings of a [`StreamingScheduler`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamingOptions {
    /// What its threads are called.
    pub name: String,
    /// How many threads there are, and so how many batches are open or running.
    pub threads: usize,
    /// The largest batch, in rows.
    pub max_batch_size: usize,
    /// A batch closes so long after it opened; `None` for only when it is full.
    pub batch_timeout: Option<Duration>,
}

/// Hands a batch to a thread when its first task arrives; it takes in tasks until it is full or its time has passed.
/// There is no queue: a task that finds all threads with closed batches is refused.
///
/// Tasks of different keys have batches of their own, open at the same time. A task that does not fit closes the batch it
/// would have been in and opens another. Dropping the scheduler closes what is open; its threads end when they are done.
pub struct StreamingScheduler<T: Task> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
    options: StreamingOptions,
}

struct Shared<T: Task> {
    state: Mutex<State<T>>,
    /// A batch waits for a thread, or none will again.
    opened: Condvar,
    clock: Arc<dyn Clock>,
}

struct State<T: Task> {
    /// Those that take tasks in, with the key of these.
    open: Vec<(T::Key, Arc<Filling<T>>)>,
    /// Those that no thread has come for yet.
    handed: VecDeque<Arc<Filling<T>>>,
    /// Threads with nothing to do, less the batches handed to them.
    free: usize,
    is_ending: bool,
}

impl<T: Task> StreamingScheduler<T> {
    /// Starts the threads. `run` is called on them with each batch, as it opens; its panics are caught and logged.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option; RESOURCE_EXHAUSTED where a thread cannot be started.
    pub fn start(
        options: StreamingOptions,
        run: impl Fn(BatchStream<T>) + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Status> {
        check_threads(&options.name, options.threads)?;
        if options.max_batch_size == 0 {
            return Err(Status::invalid_argument("max_batch_size is 0, 1 or more was wanted"));
        }
        let state =
            State { open: Vec::new(), handed: VecDeque::new(), free: options.threads, is_ending: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), opened: Condvar::new(), clock });
        let run: Arc<dyn Fn(BatchStream<T>) + Send + Sync> = Arc::new(run);
        let mut scheduler = Self { shared, threads: Vec::new(), options };
        for number in 0..scheduler.options.threads {
            let (shared, run) = (Arc::clone(&scheduler.shared), Arc::clone(&run));
            let builder = Builder::new().name(format!("{}-{number}", scheduler.options.name));
            // Those that were started end with the scheduler.
            let thread = builder.spawn(move || shared.work(&*run)).map_err(no_thread)?;
            scheduler.threads.push(thread);
        }
        Ok(scheduler)
    }

    /// The settings it was started with.
    pub fn options(&self) -> &StreamingOptions {
        &self.options
    }

    /// Adds a task to the open batch of its key, or opens one. Does not block.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the task is larger than a batch; UNAVAILABLE where it does not fit an open one, and all
    /// threads have theirs.
    pub fn schedule(&self, task: T) -> Result<(), Refused<T>> {
        let (size, limit) = (task.size(), self.options.max_batch_size);
        if size > limit {
            let message = format!("task size {size} is larger than maximum input batch size {limit}");
            return Err(refused(task, Status::invalid_argument(message)));
        }
        let now = self.shared.clock.now();
        let key = task.key();
        let mut state = self.shared.state.lock();
        let task = match state.add(&key, task, size, limit, now) {
            Ok(()) => return Ok(()),
            Err(task) => task,
        };
        if state.free == 0 {
            let message = "all threads have a batch, and none that is open has room for the task";
            return Err(refused(task, Status::unavailable(message)));
        }
        state.free -= 1;
        let filling = Arc::new(Filling::open(task, size, limit, self.options.batch_timeout, now));
        if !filling.is_closed() {
            state.open.push((key, Arc::clone(&filling)));
        }
        state.handed.push_back(filling);
        drop(state);
        self.shared.opened.notify_one();
        Ok(())
    }

    /// Looks at the clock: for a clock that jumps, as in a test.
    pub fn nudge(&self) {
        for (_, filling) in &self.shared.state.lock().open {
            filling.look();
        }
    }

    /// Closes what is open, and waits until all batches have run. Blocks.
    pub fn close(mut self) {
        let threads = std::mem::take(&mut self.threads);
        drop(self);
        for thread in threads {
            // Panics were caught; the thread has nothing else to say.
            let _ = thread.join();
        }
    }
}

impl<T: Task> Drop for StreamingScheduler<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_ending = true;
        state.open.drain(..).for_each(|(_, filling)| filling.close());
        drop(state);
        self.shared.opened.notify_all();
    }
}

impl<T: Task> Shared<T> {
    fn work(&self, run: &(dyn Fn(BatchStream<T>) + Send + Sync)) {
        while let Some(filling) = self.next() {
            let stream = BatchStream::new(Arc::clone(&filling), Arc::clone(&self.clock));
            guarded("consumer of a streamed batch", || run(stream));
            let mut state = self.state.lock();
            // Whatever became of the stream, nobody reads it any more.
            let left = filling.end();
            state.open.retain(|(_, open)| !Arc::ptr_eq(open, &filling));
            state.free += 1;
            drop(state);
            guarded("drop of tasks that were not read", || drop(left));
        }
    }

    /// Blocks until a batch opens; `None` when none will again.
    fn next(&self) -> Option<Arc<Filling<T>>> {
        let mut state = self.state.lock();
        loop {
            if let Some(filling) = state.handed.pop_front() {
                return Some(filling);
            }
            if state.is_ending {
                return None;
            }
            self.opened.wait(&mut state);
        }
    }
}

impl<T: Task> State<T> {
    /// Adds a task to the open batch of its key, if it has one and it fits; otherwise that batch is closed.
    fn add(&mut self, key: &T::Key, task: T, size: usize, limit: usize, now: Instant) -> Result<(), T> {
        let Some(position) = self.open.iter().position(|(open, _)| open == key) else { return Err(task) };
        let Some((_, filling)) = self.open.get(position) else { return Err(task) };
        let added = filling.add(task, size, limit, now);
        if filling.is_closed() {
            self.open.swap_remove(position);
        }
        added
    }
}

impl<T: Task> fmt::Debug for StreamingScheduler<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingScheduler").field("options", &self.options).finish_non_exhaustive()
    }
}

fn refused<T>(task: T, status: Status) -> Refused<T> {
    Refused { task, status, dropped: Vec::new() }
}

fn no_thread(error: io::Error) -> Status {
    Status::resource_exhausted(format!("starting the threads of a streaming scheduler: {error}"))
}
