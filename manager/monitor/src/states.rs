//! What is remembered, as plain data.

use std::collections::BTreeMap;
use std::time::SystemTime;

use salver_core_servable::{ServableState, StateEvent, StreamName, Version};
use salver_core_status::Status;

/// How much is remembered of what is over. What is not over is always remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many ended versions of each stream are kept: those that ended last.
    pub ended_versions_per_stream: usize,
    /// How many streams are kept. Past it, streams all of whose versions have ended are forgotten: those without an
    /// error first, and of those the one that changed longest ago.
    pub streams: usize,
}

/// Every stream that is remembered.
#[derive(Clone, Debug)]
pub struct States {
    limits: Limits,
    streams: BTreeMap<StreamName, StreamStatus>,
    /// Counts events, to tell which came first.
    events: u64,
}

/// One stream.
#[derive(Clone, Debug, Default)]
pub struct StreamStatus {
    /// Its versions, newest (numerically largest) first.
    pub versions: Vec<VersionStatus>,
    /// Why its source cannot tell which versions there should be, while it cannot.
    pub error: Option<Status>,
    changed: u64,
}

/// One version.
#[derive(Clone, Debug)]
pub struct VersionStatus {
    /// Which.
    pub version: Version,
    /// Where it stands.
    pub state: ServableState,
    /// Why it failed, where it did.
    pub error: Option<Status>,
    /// When it came to stand there.
    pub at: SystemTime,
    changed: u64,
}

impl Default for Limits {
    /// 8 ended versions of each of 4096 streams.
    fn default() -> Self {
        Self { ended_versions_per_stream: 8, streams: 4096 }
    }
}

impl States {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, streams: BTreeMap::new(), events: 0 }
    }

    /// The stream of this name; `None` where it was never heard of, or is forgotten.
    pub fn stream(&self, name: &str) -> Option<&StreamStatus> {
        self.streams.get(name)
    }

    /// Every stream, ordered by name.
    pub fn streams(&self) -> impl Iterator<Item = (&StreamName, &StreamStatus)> {
        self.streams.iter()
    }

    /// Takes one event in, and forgets what is over the limits.
    pub(crate) fn apply(&mut self, event: StateEvent) {
        self.events += 1;
        let changed = self.events;
        let (StateEvent::Version { id: salver_core_servable::ServableId { name, .. }, .. }
        | StateEvent::Progress { id: salver_core_servable::ServableId { name, .. }, .. }
        | StateEvent::Stream { name, .. }) = &event;
        let stream = self.streams.entry(name.clone()).or_default();
        stream.changed = changed;
        match event {
            StateEvent::Version { id, state, error, at } => {
                stream.set(VersionStatus { version: id.version, state, error, at, changed });
                stream.forget_ended(self.limits.ended_versions_per_stream);
            }
            StateEvent::Progress { .. } => {}
            StateEvent::Stream { error, .. } => stream.error = error,
        }
        self.forget_streams();
    }

    fn forget_streams(&mut self) {
        while self.streams.len() > self.limits.streams {
            let over = self.streams.iter().filter(|(_, stream)| stream.is_over());
            let first = over.min_by_key(|(_, stream)| (stream.has_error(), stream.changed));
            let Some(name) = first.map(|(name, _)| name.clone()) else {
                return;
            };
            self.streams.remove(&name);
        }
    }
}

impl StreamStatus {
    /// Whether any version answers requests.
    pub fn is_available(&self) -> bool {
        self.versions.iter().any(|version| version.state == ServableState::Available)
    }

    /// Whether nothing is under way: the source cannot tell, or every version, of at least one, is available or has
    /// ended.
    pub fn is_settled(&self) -> bool {
        let is_settled =
            |version: &VersionStatus| matches!(version.state, ServableState::Available | ServableState::End);
        self.versions.iter().all(is_settled) && (self.error.is_some() || !self.versions.is_empty())
    }

    fn is_over(&self) -> bool {
        self.versions.iter().all(|version| version.state == ServableState::End)
    }

    fn has_error(&self) -> bool {
        self.error.is_some() || self.versions.iter().any(|version| version.error.is_some())
    }

    fn set(&mut self, status: VersionStatus) {
        let place = self.versions.partition_point(|other| other.version > status.version);
        match self.versions.get_mut(place).filter(|other| other.version == status.version) {
            Some(known) => *known = status,
            None => self.versions.insert(place, status),
        }
    }

    fn forget_ended(&mut self, keep: usize) {
        let ended = |version: &&VersionStatus| version.state == ServableState::End;
        while self.versions.iter().filter(ended).count() > keep {
            let first = self.versions.iter().filter(ended).map(|version| version.changed).min();
            self.versions.retain(|version| Some(version.changed) != first);
        }
    }
}
