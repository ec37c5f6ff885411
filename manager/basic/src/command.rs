//! What a registry keeps to, what it wants done, and what it is told of it.

use std::time::{Instant, SystemTime};

use salver_core_loader::CancelFlag;
use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::{ServableId, StateEvent};
use salver_core_status::Status;

use crate::{LoadOrder, Retry};

/// Told once how a load or an unload went.
pub type Done = Box<dyn FnOnce(Result<(), Status>) + Send>;

/// One moment, by the clock that waits are measured with and by the one that people read.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For waits.
    pub now: Instant,
    /// For reports.
    pub date: SystemTime,
}

/// What a registry keeps to.
#[derive(Clone)]
pub struct Rules {
    /// How many estimates and loads may run at a time.
    pub load_slots: usize,
    /// How many unloads may run at a time.
    pub unload_slots: usize,
    /// What becomes of an attempt to load that failed.
    pub retry: Retry,
    /// What all versions together may take, bound to devices. What it does not name is not limited.
    pub total_resources: Allocation,
    /// Who gets a free load thread first; `None`: first come, first served.
    pub order: Option<LoadOrder>,
}

/// What is to be done, in this order. `D` is what a version is loaded from. Of [`Estimate`](Command::Estimate),
/// [`Load`](Command::Load) and [`Unload`](Command::Unload) the outcome is to be told, once; of
/// [`Withdraw`](Command::Withdraw), when nobody uses the version any more.
pub enum Command<D> {
    /// Ask what it will take, on a load thread.
    Estimate {
        /// Which version.
        id: ServableId,
        /// To be given back with the outcome.
        data: D,
    },
    /// Load it, on a load thread.
    Load {
        /// Which version.
        id: ServableId,
        /// To be given back where it could not be loaded, and to be kept until it is unloaded where it could.
        data: D,
        /// Set when the load is no longer wanted.
        cancel: CancelFlag,
    },
    /// Let requests find it.
    Publish(ServableId),
    /// Keep requests from finding it.
    Withdraw(ServableId),
    /// Unload it, on an unload thread.
    Unload(ServableId),
    /// Tell the observer.
    Report(StateEvent),
    /// Drop what was never used.
    Drop(D),
    /// Drop what was used, which may take time.
    Discard(D),
    /// Tell somebody how it went.
    Answer(Done, Result<(), Status>),
}

/// What came of a command.
#[derive(Debug)]
pub enum Outcome<D> {
    /// Of [`Command::Estimate`].
    Estimated(ServableId, D, Result<Estimate, Status>),
    /// Of [`Command::Load`], with what was measured, if it was.
    Loaded(ServableId, Option<Allocation>),
    /// Of [`Command::Load`].
    NotLoaded(ServableId, D, Status),
    /// Of [`Command::Withdraw`]: nobody uses the version any more.
    Vacant(ServableId),
    /// Of [`Command::Unload`].
    Unloaded(ServableId),
}
