//! Threads that take batches from many queues in turn, and run them.
//!
//! A [`Scheduler`] is a pool of threads for one device. Any number of queues share it: they come and go while it runs,
//! each batch is of one queue, and queues take turns. Nothing polls: a thread wakes when a batch is ready, and at the time
//! at which one will be. What runs next and who is woken for it is decided under the one lock of the pool, by a core that
//! knows no threads; batches run, threads are woken and tasks are dropped outside it.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//!
//! use salver_batching_queue::{Batch, Dropped, QueueOptions, Task};
//! use salver_batching_scheduler::{Consumer, InFlight, PoolOptions, QueueOrder, Scheduler};
//! use salver_core_clock::SystemClock;
//!
//! struct Word(&'static str);
//!
//! impl Task for Word {
//!     type Key = ();
//!     fn key(&self) {}
//!     fn size(&self) -> usize {
//!         1
//!     }
//!     fn split(self, _sizes: &[usize]) -> Vec<Self> {
//!         vec![self]
//!     }
//! }
//!
//! struct Printer(mpsc::Sender<&'static str>);
//!
//! impl Consumer<Word> for Printer {
//!     fn run(&self, batch: Batch<Word>) {
//!         batch.tasks.iter().for_each(|word| self.0.send(word.0).unwrap());
//!     }
//!     fn dropped(&self, _: Dropped<Word>) {}
//! }
//!
//! let options = PoolOptions {
//!     name: "printers".to_owned(),
//!     threads: 1,
//!     order: QueueOrder::RoundRobin,
//!     in_flight: InFlight::Threads,
//! };
//! let scheduler = Scheduler::start(options, Arc::new(SystemClock))?;
//! let (sender, printed) = mpsc::channel();
//! let queue = scheduler.add_queue(QueueOptions::default(), Arc::new(Printer(sender)))?;
//! for word in ["many", "small", "requests"] {
//!     queue.schedule(Word(word)).map_err(|refused| refused.status)?;
//! }
//! queue.close();
//! assert_eq!(printed.iter().take(3).collect::<Vec<_>>(), ["many", "small", "requests"]);
//! # Ok::<(), salver_core_status::Status>(())
//! ```

mod basic;
mod core;
mod crew;
mod limit;
mod options;
mod pool;
mod scheduler;
mod slots;
mod streaming;
mod sync;
mod work;

pub use basic::BasicScheduler;
pub use options::{InFlight, PoolOptions, QueueOrder};
pub use scheduler::{Consumer, QueueHandle, Scheduler};
pub use streaming::{BatchStream, StreamingOptions, StreamingScheduler};

#[cfg(not(loom))]
#[cfg(test)]
mod tests;

#[cfg(loom)]
#[cfg(test)]
mod models;
