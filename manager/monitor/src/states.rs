//! What is remembered, as plain data.

use std::collections::BTreeMap;
use std::time::SystemTime;

use salver_core_servable::{
    LoadProgress, LoadTimings, ServableId, ServableState, StateEvent, StreamName, Version,
};
use salver_core_status::Status;

/// How much is remembered of what is over. What is not over is always remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many ended versions of each stream are kept: those that ended last.
    pub ended_versions_per_stream: usize,
    /// How many streams are kept. Past it, streams all of whose versions have ended are forgotten: those without an
    /// error first, and of those the one that changed longest ago.
    pub streams: usize,
    /// How many events are kept, of all streams together; 0: none.
    pub history: usize,
}

/// Every stream that is remembered.
#[derive(Clone, Debug)]
pub struct States {
    limits: Limits,
    streams: BTreeMap<StreamName, StreamStatus>,
    /// Counts events, to tell which came first.
    events: u64,
    /// Whether there are more streams than the limit, none of which is over.
    is_crowded: bool,
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
    /// Why it failed, where it did. Of a version that is [loading](ServableState::Loading): why the last attempt
    /// failed; another is made, or will be.
    pub error: Option<Status>,
    /// When that was so.
    pub at: SystemTime,
    /// How far the load is, while it is loading and that is known.
    pub progress: Option<LoadProgress>,
    /// How long the parts of the load took that are over; of the last attempt.
    pub timings: LoadTimings,
    changed: u64,
}

impl Default for Limits {
    /// 8 ended versions of each of 4096 streams, and no events.
    fn default() -> Self {
        Self { ended_versions_per_stream: 8, streams: 4096, history: 0 }
    }
}

impl States {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, streams: BTreeMap::new(), events: 0, is_crowded: false }
    }

    /// The stream of this name; `None` where it was never heard of, or is forgotten.
    pub fn stream(&self, name: &str) -> Option<&StreamStatus> {
        self.streams.get(name)
    }

    /// Every stream, ordered by name.
    pub fn streams(&self) -> impl Iterator<Item = (&StreamName, &StreamStatus)> {
        self.streams.iter()
    }

    /// Takes one event in.
    pub(crate) fn apply(&mut self, event: StateEvent) {
        self.events += 1;
        let changed = self.events;
        match event {
            StateEvent::Version { id: ServableId { name, version }, state, error, at } => {
                let stream = self.streams.entry(name).or_default();
                stream.changed = changed;
                stream.set(VersionStatus {
                    version,
                    state,
                    error,
                    at,
                    progress: None,
                    timings: LoadTimings::default(),
                    changed,
                });
            }
            StateEvent::Progress { id: ServableId { name, version }, progress } => {
                if let Some(stream) = self.streams.get_mut(&name)
                    && let Some(known) = stream.version_mut(version)
                {
                    known.come_further(progress);
                }
            }
            StateEvent::Stream { name, error } => {
                let stream = self.streams.entry(name).or_default();
                stream.changed = changed;
                stream.error = error;
            }
        }
    }

    /// Forgets what is over the limits, after an event about `name`.
    pub(crate) fn forget_excess(&mut self, name: &StreamName) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.keep_ended(self.limits.ended_versions_per_stream);
            if self.is_crowded && !stream.is_over() {
                // Only this one can be over now, and is not: spares a look at thousands with every event.
                return;
            }
        }
        while self.streams.len() > self.limits.streams {
            let over = self.streams.iter().filter(|(_, stream)| stream.is_over());
            let first = over.min_by_key(|(_, stream)| (stream.has_error(), stream.changed));
            let Some(name) = first.map(|(name, _)| name.clone()) else {
                self.is_crowded = true;
                return;
            };
            self.streams.remove(&name);
        }
        self.is_crowded = false;
    }

    /// Forgets the versions that have ended, and the streams that nothing is left of.
    pub(crate) fn forget_ended(&mut self) {
        self.is_crowded = false;
        self.streams.retain(|_, stream| {
            stream.keep_ended(0);
            !stream.versions.is_empty() || stream.error.is_some()
        });
    }
}

impl StreamStatus {
    /// What is known of a version; `None` where it was never heard of, or is forgotten.
    pub fn version(&self, version: Version) -> Option<&VersionStatus> {
        self.place(version).ok().and_then(|place| self.versions.get(place))
    }

    /// Whether any version answers requests.
    pub fn is_available(&self) -> bool {
        self.versions.iter().any(|version| version.state == ServableState::Available)
    }

    /// Whether there is nothing to wait for: the source cannot tell, or every version, of at least one,
    /// [is settled](VersionStatus::is_settled).
    pub fn is_settled(&self) -> bool {
        self.versions.iter().all(VersionStatus::is_settled)
            && (self.error.is_some() || !self.versions.is_empty())
    }

    fn is_over(&self) -> bool {
        self.versions.iter().all(|version| version.state == ServableState::End)
    }

    fn has_error(&self) -> bool {
        self.error.is_some() || self.versions.iter().any(|version| version.error.is_some())
    }

    /// Where the version is among the versions, or else where it would be.
    fn place(&self, version: Version) -> Result<usize, usize> {
        self.versions.binary_search_by(|other| version.cmp(&other.version))
    }

    fn version_mut(&mut self, version: Version) -> Option<&mut VersionStatus> {
        self.place(version).ok().and_then(|place| self.versions.get_mut(place))
    }

    fn set(&mut self, status: VersionStatus) {
        if let Some(known) = self.version_mut(status.version) {
            *known = status.after(known);
        } else if let Err(place) = self.place(status.version) {
            self.versions.insert(place, status);
        }
    }

    fn keep_ended(&mut self, keep: usize) {
        let ended = |version: &&VersionStatus| version.state == ServableState::End;
        while self.versions.iter().filter(ended).count() > keep {
            let first = self.versions.iter().filter(ended).map(|version| version.changed).min();
            self.versions.retain(|version| Some(version.changed) != first);
        }
    }
}

impl VersionStatus {
    /// Whether there is nothing to wait for: the version is available, or it has ended, or an attempt to load it has
    /// failed. Another attempt may be made minutes later.
    pub fn is_settled(&self) -> bool {
        match self.state {
            ServableState::Available | ServableState::End => true,
            ServableState::Loading => self.error.is_some(),
            ServableState::Start | ServableState::Unloading => false,
        }
    }

    /// This, as heard of after what was known before.
    fn after(mut self, before: &Self) -> Self {
        let tries_again = self.state == ServableState::Loading && before.state == ServableState::Loading;
        let begins = self.error.is_none() && self.state <= ServableState::Loading;
        if !begins {
            self.timings = before.timings;
        }
        if tries_again && self.error.is_none() {
            self.error.clone_from(&before.error);
        }
        self
    }

    fn come_further(&mut self, progress: LoadProgress) {
        // What comes late is of no use: the version has moved on.
        if self.state == ServableState::Loading {
            self.timings = progress.timings;
            self.progress = progress.phase.is_some().then_some(progress);
        }
    }
}
