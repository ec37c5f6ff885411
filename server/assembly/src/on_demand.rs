//! Versions that are loaded when they are first asked for.
//!
//! ```text
//! Sources --> ModelStage --> OnDemand: Shelf <-- CachingManager <-- Inference
//! ```
//!
//! What sources say goes on a shelf. The manager asks it which version of a stream is the latest, and how one is loaded.
//! A request for what is not on the shelf is answered by the shelf alone: names that clients make up cost the manager
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use salver_core_loader::{AspiredVersions, Target};
use salver_core_observe::{Metric, Observer};
use salver_core_servable::{
    Handle, Lookup, LookupError, ServableId, ServableState, StateEvent, StateObserver, StreamName, Version,
    VersionChoice,
};
use salver_core_status::{Code, Status};
use salver_manager_caching::{CachingManager, Options, Stats};
use salver_manager_monitor::Monitor;
use salver_manager_policy::Policy;
use salver_manager_serving_map::LabelStatus;
use salver_server_inference::{Done, NotLoaded, Served, Wish};
use salver_server_metrics::Registry;

use crate::loader::ModelLoader;
use crate::settings::Settings;
use crate::shelf::{FromShelf, Meant, Shelf};

/// The shelf, and the manager that loads from it.
pub(crate) struct OnDemand {
    manager: Arc<CachingManager<FromShelf>>,
    shelf: Arc<Shelf>,
    settings: Arc<Settings>,
    monitor: Arc<Monitor>,
    report: Arc<dyn StateObserver>,
    /// What is pinned of each stream, and of which streams nobody can tell the versions. The lock also makes sources
    /// take turns.
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    pinned: BTreeMap<StreamName, BTreeSet<Version>>,
    troubled: BTreeSet<StreamName>,
}

impl OnDemand {
    /// # Errors
    /// Those of the manager's start.
    pub(crate) fn start(
        options: Options,
        settings: Arc<Settings>,
        monitor: Arc<Monitor>,
        report: Arc<dyn StateObserver>,
    ) -> Result<Arc<Self>, Status> {
        let shelf = Arc::new(Shelf::default());
        let manager = CachingManager::start(options, FromShelf(Arc::clone(&shelf)))?;
        Ok(Arc::new(Self { manager, shelf, settings, monitor, report, told: Mutex::default() }))
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// What each label of a stream stands for.
    pub(crate) fn labels(&self, name: &str) -> BTreeMap<String, LabelStatus> {
        self.manager.labels(name)
    }

    /// The streams of which something is loaded at the start.
    pub(crate) fn pinned_streams(&self) -> Vec<StreamName> {
        self.told.lock().pinned.keys().cloned().collect()
    }

    pub(crate) fn shut_down(&self, deadline: Instant) -> bool {
        self.manager.shut_down(deadline)
    }

    /// A label stands for another version from now on.
    pub(crate) fn set_labels(&self, name: &StreamName, labels: BTreeMap<String, Version>) {
        self.shelf.label(name, labels.clone());
        self.manager.set_labels(name, labels);
        self.move_labels(name);
    }

    /// Loads the versions that labels wait for which lead to others until then. What a label leads to that nobody has
    /// used waits for its first request.
    fn move_labels(&self, name: &StreamName) {
        for label in self.manager.labels(name.as_str()).into_values() {
            let moves = label.attached.is_some_and(|attached| attached != label.wanted);
            if moves && self.shelf.has(name.as_str(), label.wanted) {
                self.prefetch(
                    ServableId::new(name.clone(), label.wanted),
                    VersionChoice::Specific(label.wanted),
                );
            }
        }
    }

    /// Loads a version that nobody waits for.
    fn prefetch(&self, id: ServableId, choice: VersionChoice<'_>) {
        let name = id.name.clone();
        let failure = self.failure(id);
        let done = move |outcome: Result<_, Status>| {
            if let Err(error) = outcome {
                tell_failure(&failure, error);
            }
        };
        self.manager.request(name.as_str(), choice, done).stay();
    }

    fn failure(&self, id: ServableId) -> Failure {
        let (monitor, report) = (Arc::clone(&self.monitor), Arc::clone(&self.report));
        Failure { shelf: Arc::clone(&self.shelf), monitor, report, id }
    }

    /// Pins these versions of a stream, and no others.
    fn pin(&self, told: &mut Told, name: &StreamName, wanted: BTreeSet<Version>) {
        let before = told.pinned.remove(name).unwrap_or_default();
        for version in wanted.difference(&before) {
            self.manager.pin(ServableId::new(name.clone(), *version));
        }
        for version in before.difference(&wanted) {
            self.manager.unpin(&ServableId::new(name.clone(), *version));
        }
        if !wanted.is_empty() {
            told.pinned.insert(name.clone(), wanted);
        }
    }

    fn note_trouble(&self, told: &mut Told, name: &StreamName, error: Option<Status>) {
        let was_troubled = match &error {
            Some(_) => !told.troubled.insert(name.clone()),
            None => told.troubled.remove(name),
        };
        if was_troubled || error.is_some() {
            self.report.observe(StateEvent::Stream { name: name.clone(), error });
        }
    }

    /// Records what the manager did since the last time, and what it holds.
    fn measure(&self, observer: &dyn Observer, last: &mut Stats) {
        let now = self.manager.stats();
        let add = |metric, now: u64, before: u64| {
            observer.instrument(metric, &[]).record(now.saturating_sub(before) as f64);
        };
        add(Metric::ModelCacheHits, now.hits, last.hits);
        add(Metric::ModelCacheMisses, now.misses, last.misses);
        add(Metric::ModelCacheRefusals, now.refusals, last.refusals);
        add(Metric::ModelCacheEvictions, now.evictions, last.evictions);
        let set = |metric, level: f64| observer.instrument(metric, &[]).record(level);
        set(Metric::ModelCacheBytes, now.used_bytes as f64);
        set(Metric::ModelCacheBudgetBytes, now.budget_bytes as f64);
        set(Metric::ModelCacheVersions, now.loaded as f64);
        set(Metric::ModelCacheWaiting, now.waiting as f64);
        *last = now;
    }

    /// What brings the metrics up to date, before they are shown.
    pub(crate) fn meter(self: &Arc<Self>, observer: Weak<Registry>) -> impl Fn() + Send + Sync + use<> {
        let (this, last) = (Arc::downgrade(self), Mutex::new(Stats::default()));
        move || {
            if let (Some(this), Some(observer)) = (this.upgrade(), observer.upgrade()) {
                this.measure(&*observer, &mut last.lock());
            }
        }
    }
}

/// For how long a failure counts as telling how a version stands: then it may be tried again, if anybody asks for it.
const FRESH: Duration = Duration::from_secs(60);

/// Whether a version failed so lately, and has not changed since, that it is not expected to answer.
pub(crate) fn is_failing(failed: SystemTime, changed: Option<SystemTime>) -> bool {
    let is_fresh = failed.elapsed().is_ok_and(|age| age < FRESH);
    is_fresh && changed.is_none_or(|changed| changed <= failed)
}

/// Says that a version failed, also one that never got as far as to be loaded: whoever tries to load it tells of that.
fn tell_failure(failure: &Failure, error: Status) {
    let Failure { shelf, monitor, report, id } = failure;
    let changed = shelf.versions(id.name.as_str()).and_then(|(_, changed)| changed);
    let is_told =
        monitor.version(id).is_some_and(|known| known.error.is_some() && is_failing(known.at, changed));
    if !is_told {
        let (id, state, error, at) = (id.clone(), ServableState::End, Some(error), SystemTime::now());
        report.observe(StateEvent::Version { id, state, error, at });
    }
}

/// What it takes to tell of a failure.
struct Failure {
    shelf: Arc<Shelf>,
    monitor: Arc<Monitor>,
    report: Arc<dyn StateObserver>,
    id: ServableId,
}

impl Target<ModelLoader> for OnDemand {
    fn set_aspired(&self, aspired: AspiredVersions<ModelLoader>) {
        let AspiredVersions { stream: name, versions } = aspired;
        let mut told = self.told.lock();
        let versions = match versions {
            Ok(versions) => versions,
            // What is loaded stays, and what is on the shelf may be loaded.
            Err(error) => return self.note_trouble(&mut told, &name, Some(error)),
        };
        self.note_trouble(&mut told, &name, None);
        let offered: BTreeSet<_> = versions.iter().map(|one| one.version).collect();
        if !self.shelf.put(&name, versions) {
            return;
        }
        let pins = if self.settings.found(&name).pin { offered.clone() } else { BTreeSet::new() };
        self.pin(&mut told, &name, pins.clone());
        let at_once = self.settings.transition(&name) == Policy::ResourcePreserving;
        self.manager.offer(&name, offered, at_once);
        for version in &pins {
            self.prefetch(ServableId::new(name.clone(), *version), VersionChoice::Specific(*version));
        }
        if let Some(latest) = pins.last() {
            self.prefetch(ServableId::new(name.clone(), *latest), VersionChoice::Latest);
        }
        self.move_labels(&name);
    }
}

impl Lookup<Served> for OnDemand {
    fn get(&self, name: &str, version: VersionChoice<'_>) -> Result<Handle<Served>, LookupError> {
        self.manager.peek(name, version).ok_or_else(|| match version {
            VersionChoice::Latest => LookupError::Name(name.to_owned()),
            VersionChoice::Specific(version) => LookupError::Version(name.to_owned(), version),
            VersionChoice::Label(label) => LookupError::Label(label.to_owned()),
        })
    }
}

impl salver_server_inference::OnDemand for OnDemand {
    fn request(&self, name: &str, choice: VersionChoice<'_>, done: Done) -> Wish {
        let Meant { version, is_latest } = match self.shelf.choose(name, choice) {
            Ok(meant) => meant,
            Err(miss) => {
                done(Err(NotLoaded::Unknown(miss)));
                return Wish::answered();
            }
        };
        let id = ServableId::new(name, version);
        let (miss, choice) = match is_latest {
            true => (LookupError::Name(name.to_owned()), VersionChoice::Latest),
            false => (LookupError::Version(name.to_owned(), version), VersionChoice::Specific(version)),
        };
        let failure = self.failure(id);
        let ticket = self.manager.request(name, choice, move |outcome| {
            done(outcome.map_err(|status| {
                // What is full now may have room in a moment: that says nothing of the version.
                if !matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) {
                    tell_failure(&failure, status.clone());
                }
                NotLoaded::Failed(miss, status)
            }));
        });
        Wish::new(ticket)
    }
}
