//! Where a version stands, as the outside sees it.

use std::time::SystemTime;

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

/// News about a servable version or about a whole stream.
#[derive(Clone, Debug)]
pub enum StateEvent {
    /// A version has moved.
    Version {
        /// Which version.
        id: ServableId,
        /// Where it stands now.
        state: ServableState,
        /// Why it failed, where it did.
        error: Option<Status>,
        /// When.
        at: SystemTime,
    },
    /// A source cannot tell which versions of the stream there should be; what is loaded stays loaded.
    Stream {
        /// Which stream.
        name: StreamName,
        /// What the source said; `None` when the trouble is over.
        error: Option<Status>,
    },
}

/// Told of every [`StateEvent`], in order per stream.
///
/// Called on the manager's thread: must return at once, and must not call the manager.
pub trait StateObserver: Send + Sync + 'static {
    /// Takes the news in.
    fn observe(&self, event: StateEvent);
}
