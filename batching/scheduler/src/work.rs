//! What the core gives out to be done outside its lock, and what it is told then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_batching_queue::{Batch, Dropped, Queue, Task};

use crate::Consumer;
use crate::sync::Event;

/// Something to do. Whoever has it gives back an [`Ended`].
#[must_use]
pub(crate) struct Work<T> {
    pub(crate) slot: usize,
    pub(crate) consumer: Arc<dyn Consumer<T>>,
    pub(crate) dropped: Vec<Dropped<T>>,
    pub(crate) batch: Option<Batch<T>>,
    /// When it was given out.
    pub(crate) since: Instant,
    /// Whether it counts as in flight; what was rejected does not.
    pub(crate) is_run: bool,
}

/// That work was done.
pub(crate) struct Ended {
    pub(crate) slot: usize,
    pub(crate) since: Instant,
    pub(crate) is_run: bool,
    /// `None` where there was no batch.
    pub(crate) ran: Option<Ran>,
}

/// Which batch was run.
#[derive(Clone, Copy)]
pub(crate) struct Ran {
    pub(crate) padded_rows: usize,
    /// How long its first task had waited.
    pub(crate) waited: Duration,
    /// How long all had waited, on average.
    pub(crate) mean_wait: Duration,
}

/// A queue that is not there any more, to be dropped before its event is set.
pub(crate) struct Gone<T: Task> {
    pub(crate) event: Arc<Event>,
    pub(crate) queue: Queue<T>,
    pub(crate) consumer: Arc<dyn Consumer<T>>,
}

/// Who is to be woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Wake {
    pub(crate) worker: Option<usize>,
    /// The thread that rejects.
    pub(crate) rejecter: bool,
}

/// What a thread that is awake does next.
pub(crate) enum Next<T> {
    Run(Work<T>),
    /// Sleep until then, or until called.
    Rest(Option<Instant>),
    End,
}
