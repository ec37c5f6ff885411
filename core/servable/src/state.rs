//! Where a version stands, as the outside sees it.

use std::fmt;
use std::time::{Duration, SystemTime};

use salver_core_status::Status;

use crate::{ServableId, StreamName};

/// The state of a servable version. It only ever moves down this list; a version may leave out any but the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServableState {
    /// Known, and about to be loaded.
    Start,
    /// Being loaded.
    Loading,
    /// Answers requests. Reported after requests can find it.
    Available,
    /// About to be unloaded. Reported before requests stop finding it.
    Unloading,
    /// Gone, or failed.
    End,
}

/// Shows in lower case: `available`.
impl fmt::Display for ServableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServableState::Start => "start",
            ServableState::Loading => "loading",
            ServableState::Available => "available",
            ServableState::Unloading => "unloading",
            ServableState::End => "end",
        })
    }
}

/// A part of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Its files are brought to this machine.
    Fetch,
    /// The servable is made from its files.
    Load,
    /// The servable is used for the first times, before requests can.
    WarmUp,
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// What it is at; `None` once it is over, successful or not.
    pub phase: Option<Phase>,
    /// Of the present phase, how many bytes are done; 0 where nobody counts.
    pub done_bytes: u64,
    /// Of the present phase, how many bytes there are; `None` where nobody knows.
    pub total_bytes: Option<u64>,
    /// How long the phases before took.
    pub timings: LoadTimings,
}

/// How long each part of a load took; `None` of a part that there was not. Of a load that was tried several times, the
/// last attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTimings {
    /// [`Phase::Fetch`].
    pub fetch: Option<Duration>,
    /// [`Phase::Load`].
    pub load: Option<Duration>,
    /// [`Phase::WarmUp`].
    pub warm_up: Option<Duration>,
}

impl LoadTimings {
    /// The time of one phase, to be written.
    pub fn of(&mut self, phase: Phase) -> &mut Option<Duration> {
        match phase {
            Phase::Fetch => &mut self.fetch,
            Phase::Load => &mut self.load,
            Phase::WarmUp => &mut self.warm_up,
        }
    }
}

/// News about a servable version or about a whole stream.
#[derive(Clone, Debug)]
pub enum StateEvent {
    /// A version has moved.
    Version {
        /// Which version.
        id: ServableId,
        /// Where it stands now.
        state: ServableState,
        /// Why it failed, where it did. With [`ServableState::Loading`]: why an attempt failed, after which another
        /// will be made.
        error: Option<Status>,
        /// When.
        at: SystemTime,
    },
    /// A version that is being loaded has come further. Between [`ServableState::Loading`] and what follows it; not
    /// for every byte.
    Progress {
        /// Which version.
        id: ServableId,
        /// How far it is.
        progress: LoadProgress,
    },
    /// A source cannot tell which versions of the stream there should be; what is loaded stays loaded.
    Stream {
        /// Which stream.
        name: StreamName,
        /// What the source said; `None` when the trouble is over.
        error: Option<Status>,
    },
}

/// Told of every [`StateEvent`], in order per version.
///
/// Called on the manager's threads: must return at once, and must not call the manager.
pub trait StateObserver: Send + Sync + 'static {
    /// Takes the news in.
    fn observe(&self, event: StateEvent);
}
