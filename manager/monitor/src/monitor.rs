//! The states behind a lock, and waiting for them to change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Weak, mpsc};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use salver_core_servable::{ServableId, ServableState, StateEvent, StateObserver, StreamName};
use salver_core_status::Status;

use crate::goals::Waiting;
use crate::history::History;
use crate::{Goal, Limits, Outcome, PastEvent, States, StreamStatus, VersionStatus};

/// Remembers what a manager reports. Thread-safe.
pub struct Monitor(Arc<Shared>);

/// Goals that are awaited. Dropping it calls the callback off: it is dropped, unless it is being called by then.
#[must_use = "dropping it calls the callback off"]
#[derive(Debug)]
pub struct Notice {
    monitor: Weak<Shared>,
    number: u64,
}

struct Shared {
    known: Mutex<Known>,
    changed: Condvar,
}

struct Known {
    states: States,
    history: History,
    waiting: BTreeMap<u64, Waiting>,
    /// How many were ever waited for.
    n_waits: u64,
}

impl Monitor {
    /// A monitor that has heard of nothing.
    pub fn new(limits: Limits) -> Self {
        let known = Known {
            states: States::new(limits),
            history: History::new(limits.history),
            waiting: BTreeMap::new(),
            n_waits: 0,
        };
        Self(Arc::new(Shared { known: Mutex::new(known), changed: Condvar::new() }))
    }

    /// What is known of a version; `None` where it was never heard of, or is forgotten.
    pub fn version(&self, id: &ServableId) -> Option<VersionStatus> {
        self.read(|states| states.stream(id.name.as_str())?.version(id.version).cloned())
    }

    /// The versions of a stream, newest first; `None` where the stream is unknown.
    pub fn versions(&self, name: &str) -> Option<Vec<VersionStatus>> {
        self.read(|states| states.stream(name).map(|stream| stream.versions.clone()))
    }

    /// All that is known of a stream; `None` where it is unknown.
    pub fn stream(&self, name: &str) -> Option<StreamStatus> {
        self.read(|states| states.stream(name).cloned())
    }

    /// The names of all streams known, in order.
    pub fn streams(&self) -> Vec<StreamName> {
        self.read(|states| states.streams().map(|(name, _)| name.clone()).collect())
    }

    /// All that is known of every stream.
    pub fn all(&self) -> BTreeMap<StreamName, StreamStatus> {
        self.read(|states| states.streams().map(|(name, stream)| (name.clone(), stream.clone())).collect())
    }

    /// The streams with versions that have not ended, and those versions, newest first.
    pub fn live(&self) -> BTreeMap<StreamName, Vec<VersionStatus>> {
        let live = |stream: &StreamStatus| -> Vec<VersionStatus> {
            let versions = stream.versions.iter();
            versions.filter(|version| version.state != ServableState::End).cloned().collect()
        };
        self.read(|states| {
            let streams = states.streams().map(|(name, stream)| (name.clone(), live(stream)));
            streams.filter(|(_, versions)| !versions.is_empty()).collect()
        })
    }

    /// The versions that answer requests.
    pub fn available(&self) -> BTreeSet<ServableId> {
        self.read(|states| {
            let all = states
                .streams()
                .flat_map(|(name, stream)| stream.versions.iter().map(move |version| (name, version)));
            let available = all.filter(|(_, version)| version.state == ServableState::Available);
            available.map(|(name, version)| ServableId::new(name.clone(), version.version)).collect()
        })
    }

    /// Whether any version of the stream answers requests.
    pub fn is_available(&self, name: &str) -> bool {
        self.read(|states| states.stream(name).is_some_and(StreamStatus::is_available))
    }

    /// The last events, oldest first, as many as [`Limits::history`] says; not those that tell how far a load is.
    pub fn history(&self) -> Vec<PastEvent> {
        self.0.known.lock().history.events()
    }

    /// Forgets every version that has ended, and the streams that nothing is left of.
    ///
    /// Before something is waited for that may have ended earlier, as a version that is to be loaded once more.
    pub fn forget_ended(&self) {
        self.0.known.lock().states.forget_ended();
    }

    /// Looks at everything at one moment. The manager waits meanwhile: `look` should be brief, and must not call the
    /// monitor.
    pub fn read<R>(&self, look: impl FnOnce(&States) -> R) -> R {
        look(&self.0.known.lock().states)
    }

    /// Calls `callback` once when each of the goals has been in `state`, or past it on its way up, or has ended; with
    /// what became of each, in the order given.
    ///
    /// A goal that was reached counts, whatever becomes of it before the others are. The callback is called on the
    /// thread that reports the last of it, or at once on this one, in either case without a lock: it may call the
    /// monitor. It must return at once, and must not panic.
    pub fn notify_when(
        &self,
        goals: &[Goal],
        state: ServableState,
        callback: impl FnOnce(Vec<Outcome>) + Send + 'static,
    ) -> Notice {
        let mut waiting = Waiting::new(goals, state, Box::new(callback));
        let mut known = self.0.known.lock();
        known.n_waits += 1;
        let notice = Notice { monitor: Arc::downgrade(&self.0), number: known.n_waits };
        if waiting.look(&known.states, None) {
            drop(known);
            waiting.tell();
        } else {
            known.waiting.insert(notice.number, waiting);
        }
        notice
    }

    /// Blocks until each of the goals has been in `state`, or past it on its way up, or has ended, and tells what
    /// became of each, in the order given. Nothing is left behind, whatever the result.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED, naming what has not come.
    pub fn wait_until_reached(
        &self,
        goals: &[Goal],
        state: ServableState,
        deadline: Instant,
    ) -> Result<Vec<Outcome>, Status> {
        let (sender, told) = mpsc::channel();
        let notice = self.notify_when(goals, state, move |outcomes| {
            // Nobody is there to hear it only if the thread that waits has panicked.
            let _ = sender.send(outcomes);
        });
        let time_left = deadline.saturating_duration_since(Instant::now());
        if let Ok(outcomes) = told.recv_timeout(time_left) {
            return Ok(outcomes);
        }
        let missed = {
            let mut known = self.0.known.lock();
            let missed = known.waiting.remove(&notice.number);
            missed.map(|waiting| waiting.late(&known.states))
        };
        match missed {
            Some(late) => Err(late),
            // It is being told at this moment.
            None => told.recv().map_err(|_| Status::internal("nobody told what became of what was awaited")),
        }
    }

    #[cfg(test)]
    pub(crate) fn awaits_anything(&self) -> bool {
        !self.0.known.lock().waiting.is_empty()
    }

    /// Blocks until `reached` says so, and returns true; or until the deadline, and returns false.
    ///
    /// `reached` is asked at once and after events, under the same rules as [`Monitor::read`]; of events that follow
    /// each other closely only after the last.
    pub fn wait_until(&self, mut reached: impl FnMut(&States) -> bool, deadline: Instant) -> bool {
        let mut known = self.0.known.lock();
        loop {
            if reached(&known.states) {
                return true;
            }
            if self.0.changed.wait_until(&mut known, deadline).timed_out() {
                return reached(&known.states);
            }
        }
    }

    /// Blocks until each of these streams is known and [settled](StreamStatus::is_settled), and returns true; or until
    /// the deadline, and returns false. Settled is not the same as available: a version that failed has ended.
    pub fn wait_until_settled(&self, names: &[StreamName], deadline: Instant) -> bool {
        // Looks first at what it found unsettled last: mostly that still is, and the others need no look.
        let mut first = 0;
        let is_settled = |states: &States, name: &StreamName| {
            states.stream(name.as_str()).is_some_and(StreamStatus::is_settled)
        };
        let reached = |states: &States| {
            let found = (first..names.len())
                .chain(0..first)
                .find(|index| names.get(*index).is_some_and(|name| !is_settled(states, name)));
            first = found.unwrap_or(first);
            found.is_none()
        };
        self.wait_until(reached, deadline)
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl StateObserver for Monitor {
    fn observe(&self, event: StateEvent) {
        let decided = self.0.known.lock().take_in(event);
        self.0.changed.notify_all();
        decided.into_iter().for_each(Waiting::tell);
    }
}

impl Known {
    /// Takes an event in; whose goals thereby all have their outcome.
    fn take_in(&mut self, event: StateEvent) -> Vec<Waiting> {
        self.history.note(&event);
        let name = match &event {
            StateEvent::Version { id, .. } => id.name.clone(),
            StateEvent::Stream { name, .. } => name.clone(),
            StateEvent::Progress { .. } => {
                self.states.apply(event);
                return Vec::new();
            }
        };
        self.states.apply(event);
        let states = &self.states;
        let decided = self.waiting.extract_if(.., |_, waiting| waiting.look(states, Some(&name)));
        let decided = decided.map(|(_, waiting)| waiting).collect();
        // Only now: what ends may be over the limit at once.
        self.states.forget_excess(&name);
        decided
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        let Some(monitor) = self.monitor.upgrade() else {
            return;
        };
        // Dropped without the lock: it may own what calls the monitor.
        let waiting = monitor.known.lock().waiting.remove(&self.number);
        drop(waiting);
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Monitor").field(&self.0.known.lock().states).finish()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
