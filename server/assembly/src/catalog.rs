//! What the server tells about its models.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use salver_core_servable::{Lookup as _, ServableState, StreamName, Version, VersionChoice};
use salver_core_status::Status;
use salver_manager_monitor::Monitor;
use salver_manager_serving_map::ServingMap;
use salver_server_inference::{BatchingStatus, Catalog, LabelStatus, Readiness, Served, VersionStatus};

use crate::on_demand::{OnDemand, is_failing};

/// Answers from the monitor, and knows how far the server as a whole is.
pub(crate) struct ServerCatalog {
    monitor: Arc<Monitor>,
    serving: Arc<ServingMap<Served>>,
    phase: AtomicU8,
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl ServerCatalog {
    /// A catalog that becomes ready when every repository is there and `is_seen`, and every model of those that are
    /// `awaited` has a version available or has failed. `when_ready` is called then.
    ///
    /// # Errors
    /// The thread that waits for this cannot be started.
    pub(crate) fn start(
        monitor: Arc<Monitor>,
        serving: Arc<ServingMap<Served>>,
        repositories: Vec<PathBuf>,
        is_seen: impl Fn() -> bool + Send + 'static,
        awaited: impl Fn() -> Vec<StreamName> + Send + 'static,
        when_ready: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<Self>, Status> {
        let phase = AtomicU8::new(STARTING);
        let catalog = Arc::new(Self { monitor: Arc::clone(&monitor), serving, phase });
        let waiting = Arc::downgrade(&catalog);
        let wait = move || {
            /// How often the thread looks whether there still is a server to become ready.
            const LOOK: Duration = Duration::from_secs(1);
            /// How often it looks whether what is in a repository that came late is known.
            const SOON: Duration = Duration::from_millis(50);
            let mut is_told = false;
            while waiting.strong_count() > 0 {
                if let Some(missing) = repositories.iter().find(|repository| !repository.is_dir()) {
                    if !is_told {
                        tracing::error!(repository = %missing.display(), "not a directory; not ready until it is");
                        is_told = true;
                    }
                    thread::park_timeout(LOOK);
                    continue;
                }
                if !is_seen() {
                    thread::park_timeout(SOON);
                    continue;
                }
                if monitor.wait_until_settled(&awaited(), Instant::now() + LOOK) {
                    when_ready();
                    if let Some(catalog) = waiting.upgrade() {
                        catalog.become_ready();
                    }
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("salver-ready".to_owned())
            .spawn(wait)
            .map_err(|error| Status::internal(format!("starting a thread: {error}")))?;
        Ok(catalog)
    }

    fn become_ready(&self) {
        let was = self.phase.compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
        if was.is_ok() {
            tracing::info!("ready");
        }
    }

    pub(crate) fn drain(&self) {
        self.phase.store(DRAINING, Ordering::Release);
    }
}

fn status(status: salver_manager_monitor::VersionStatus) -> VersionStatus {
    VersionStatus {
        version: status.version,
        state: status.state,
        error: status.error,
        progress: status.progress,
        timings: status.timings,
    }
}

impl Catalog for ServerCatalog {
    fn models(&self) -> Vec<StreamName> {
        let mut models = self.monitor.streams();
        models.sort();
        models
    }

    fn versions(&self, model: &str) -> Option<Vec<VersionStatus>> {
        let versions = self.monitor.versions(model)?;
        Some(versions.into_iter().map(status).collect())
    }

    fn labels(&self, model: &str) -> BTreeMap<String, LabelStatus> {
        let labels = self.serving.labels(model).into_iter();
        labels
            .map(|(name, label)| (name, LabelStatus { wanted: label.wanted, attached: label.attached }))
            .collect()
    }

    fn trouble(&self, model: &str) -> Option<Status> {
        self.monitor.stream(model)?.error
    }

    fn batching(&self, model: &str, version: Version) -> Option<BatchingStatus> {
        self.serving.get(model, VersionChoice::Specific(version)).ok()?.batching()
    }

    fn readiness(&self) -> Readiness {
        match self.phase.load(Ordering::Acquire) {
            STARTING => Readiness::Starting,
            READY => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }
}

/// The same where versions are loaded on demand: those that are there and not loaded are told about too.
pub(crate) struct OnDemandCatalog {
    pub(crate) inner: Arc<ServerCatalog>,
    pub(crate) on_demand: Arc<OnDemand>,
}

impl Catalog for OnDemandCatalog {
    fn models(&self) -> Vec<StreamName> {
        let mut models: BTreeSet<_> = self.inner.models().into_iter().collect();
        models.extend(self.on_demand.shelf().streams());
        models.into_iter().collect()
    }

    /// A version that is there and not loaded has the state that TensorFlow Serving gives one that is known and has not
    /// begun to be loaded.
    fn versions(&self, model: &str) -> Option<Vec<VersionStatus>> {
        let known = self.inner.monitor.versions(model);
        let there = self.on_demand.shelf().versions(model);
        if known.is_none() && there.is_none() {
            return None;
        }
        let (mut there, changed) = there.unwrap_or_default();
        let status = |known: salver_manager_monitor::VersionStatus| {
            let is_there = there.remove(&known.version);
            let is_failing = known.error.is_some() && is_failing(known.at, changed);
            let mut status = status(known);
            if is_there && status.state == ServableState::End && !is_failing {
                status.state = ServableState::Start;
            }
            status
        };
        let mut versions: Vec<_> = known.unwrap_or_default().into_iter().map(status).collect();
        let not_loaded = there.into_iter();
        versions.extend(not_loaded.map(|version| VersionStatus::new(version, ServableState::Start, None)));
        versions.sort_by_key(|status| Reverse(status.version));
        Some(versions)
    }

    fn labels(&self, model: &str) -> BTreeMap<String, LabelStatus> {
        let labels = self.on_demand.labels(model).into_iter();
        labels
            .map(|(name, label)| (name, LabelStatus { wanted: label.wanted, attached: label.attached }))
            .collect()
    }

    fn trouble(&self, model: &str) -> Option<Status> {
        self.inner.trouble(model)
    }

    fn batching(&self, model: &str, version: Version) -> Option<BatchingStatus> {
        self.on_demand.get(model, VersionChoice::Specific(version)).ok()?.batching()
    }

    fn answers(&self, model: &str, status: &VersionStatus) -> bool {
        match status.state {
            ServableState::Available => true,
            ServableState::End => false,
            ServableState::Start | ServableState::Loading | ServableState::Unloading => {
                self.on_demand.shelf().has(model, status.version)
            }
        }
    }

    fn readiness(&self) -> Readiness {
        self.inner.readiness()
    }
}
