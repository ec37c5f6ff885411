//! One pool, many queues.

use std::sync::Arc;

use parking_lot::Mutex;
use salver_batching_queue::{Batch, Dropped, Queue, QueueOptions, Refused, Task};
use salver_core_clock::Clock;
use salver_core_status::Status;

use crate::PoolOptions;

/// What runs the batches of one queue. Called from the threads of the pool, several at once.
pub trait Consumer<T>: Send + Sync + 'static {
    /// Runs a batch. A panic is caught and logged; the tasks are dropped then.
    fn run(&self, batch: Batch<T>);

    /// Tells whoever wanted a task that it is not run. Must not block.
    fn dropped(&self, dropped: Dropped<T>);
}

/// A pool of threads that take batches from many queues. Clones share it; the threads end when the last clone and the
/// last queue are gone and nothing waits any more.
pub struct Scheduler<T: Task> {
    options: Arc<PoolOptions>,
    clock: Arc<dyn Clock>,
    tasks: std::marker::PhantomData<fn(T)>,
}

impl<T: Task> Clone for Scheduler<T> {
    fn clone(&self) -> Self {
        Self {
            options: Arc::clone(&self.options),
            clock: Arc::clone(&self.clock),
            tasks: std::marker::PhantomData,
        }
    }
}

impl<T: Task> Scheduler<T> {
    /// Starts the threads.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option; RESOURCE_EXHAUSTED where a thread cannot be started.
    pub fn start(options: PoolOptions, clock: Arc<dyn Clock>) -> Result<Self, Status> {
        Ok(Self { options: Arc::new(options), clock, tasks: std::marker::PhantomData })
    }

    /// The settings it was started with.
    pub fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// Adds a queue, whose batches `consumer` runs.
    ///
    /// # Errors
    /// Those of [`QueueOptions::check`].
    pub fn add_queue(
        &self,
        options: QueueOptions,
        consumer: Arc<dyn Consumer<T>>,
    ) -> Result<QueueHandle<T>, Status> {
        let queue = Mutex::new(Queue::new(options)?);
        Ok(QueueHandle { scheduler: self.clone(), queue, consumer })
    }
}

/// A queue of a [`Scheduler`]. Dropping it lets what waits run, and takes no more; it does not wait for that.
pub struct QueueHandle<T: Task> {
    scheduler: Scheduler<T>,
    queue: Mutex<Queue<T>>,
    consumer: Arc<dyn Consumer<T>>,
}

impl<T: Task> QueueHandle<T> {
    /// Lets a task wait for its batch. Does not block.
    ///
    /// # Errors
    /// Those of [`Queue::push`]; UNAVAILABLE where the pool is gone.
    pub fn schedule(&self, task: T) -> Result<(), Refused<T>> {
        self.schedule_or_run(task)
    }

    /// The same; but where nobody else waits, a batch may run at once and no thread of the pool has a use for it, it is
    /// run here, on the calling thread, in that thread's place.
    ///
    /// # Errors
    /// As [`schedule`](Self::schedule).
    pub fn schedule_or_run(&self, task: T) -> Result<(), Refused<T>> {
        let now = self.scheduler.clock.now();
        let taken = {
            let mut queue = self.queue.lock();
            queue.push(task, now)?;
            queue.take(now)
        };
        taken.dropped.into_iter().for_each(|dropped| self.consumer.dropped(dropped));
        if let Some(batch) = taken.batch {
            self.consumer.run(batch);
        }
        Ok(())
    }

    /// Takes no more tasks, and waits until those that waited have run. Blocks.
    pub fn close(self) {
        self.queue.lock().close();
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.queue.lock().len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks of one row could be scheduled now.
    pub fn capacity(&self) -> usize {
        self.queue.lock().capacity()
    }
}
