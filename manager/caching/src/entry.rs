//! One version in the cache, and the words in which the cache is talked to.

use std::sync::Arc;
use std::time::Instant;

use salver_core_servable::{ServableId, StreamName, Version};
use salver_core_status::Status;

use crate::eviction::{Eviction, Standing};
use crate::failures::BackOff;
use crate::meter::Meter;

/// What the cache keeps to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) budget_bytes: u64,
    pub(crate) eviction: Eviction,
    pub(crate) back_off: BackOff,
    /// How many failures are remembered.
    pub(crate) max_failures: usize,
    /// How many versions and questions may be on their way to a load.
    pub(crate) max_pending: usize,
}

/// Somebody who waits, by number.
pub(crate) struct Waiter<W> {
    pub(crate) number: u64,
    pub(crate) answer: W,
}

/// What a version takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// While it is being loaded.
    pub(crate) loading: u64,
    /// From then on.
    pub(crate) loaded: u64,
}

pub(crate) struct Entry<L, W> {
    pub(crate) stage: Stage<L>,
    pub(crate) waiters: Vec<Waiter<W>>,
}

pub(crate) enum Stage<L> {
    Making,
    Queued(L, Size),
    Loading { reserved: u64, size: Size, meter: Arc<Meter>, began: Instant },
    Loaded(Standing),
    Leaving { reserved: u64 },
}

/// What is to be done.
pub(crate) enum Command<L, W> {
    /// Ask which version is the latest, and say so by `latest_known`.
    AskLatest(StreamName),
    /// Make what the version is loaded from, and say so by `made`.
    Make(ServableId),
    /// Load it, and say so by `load_ended`.
    Load(ServableId, L, Arc<Meter>),
    /// Unload it, and say so by `unload_ended`.
    Unload(ServableId),
    /// Let requests for the latest version find this one, or none.
    Label(StreamName, Option<Version>),
    /// Answer somebody. A version in the answer is loaded at this moment.
    Answer(W, Result<ServableId, Status>),
    /// Drop this, outside of any lock.
    Drop(L),
}

/// What happened since the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) misses: u64,
    pub(crate) refusals: u64,
    pub(crate) loads: u64,
    pub(crate) failures: u64,
    pub(crate) evictions: u64,
}

/// What there is at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) used_bytes: u64,
    pub(crate) loaded: usize,
    pub(crate) waiting: usize,
}

impl Size {
    pub(crate) fn peak(self) -> u64 {
        self.loading.max(self.loaded)
    }
}
