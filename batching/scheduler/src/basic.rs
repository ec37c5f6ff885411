//! One queue with a pool of its own.

use std::sync::Arc;

use salver_batching_queue::{QueueOptions, Task};
use salver_core_clock::Clock;
use salver_core_status::Status;

use crate::{Consumer, PoolOptions, QueueHandle, Scheduler};

/// One queue with a pool of its own: TensorFlow's `BasicBatchScheduler`.
pub struct BasicScheduler<T: Task> {
    queue: QueueHandle<T>,
}

impl<T: Task> BasicScheduler<T> {
    /// Starts the threads.
    ///
    /// # Errors
    /// Those of [`Scheduler::start`] and of [`Scheduler::add_queue`].
    pub fn start(
        pool: PoolOptions,
        queue: QueueOptions,
        consumer: Arc<dyn Consumer<T>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Status> {
        let queue = Scheduler::start(pool, clock)?.add_queue(queue, consumer)?;
        Ok(Self { queue })
    }

    /// Takes no more tasks, and waits until those that waited have run. Blocks.
    pub fn close(self) {
        self.queue.close();
    }
}

impl<T: Task> std::ops::Deref for BasicScheduler<T> {
    type Target = QueueHandle<T>;

    fn deref(&self) -> &QueueHandle<T> {
        &self.queue
    }
}
