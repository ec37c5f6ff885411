//! What is known of models beside the handles of those that answer.

use std::collections::BTreeMap;

use salver_batching_session::BatchingStatus;
use salver_core_servable::{LoadProgress, LoadTimings, ServableState, StreamName, Version};
use salver_core_status::Status;

/// Where one version of a model stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStatus {
    /// The version.
    pub version: Version,
    /// Its state.
    pub state: ServableState,
    /// Why it ended, where it failed; or why it is to be tried again, while it is being loaded.
    pub error: Option<Status>,
    /// How far its load is, while it is being loaded.
    pub progress: Option<LoadProgress>,
    /// How long the parts of its load took.
    pub timings: LoadTimings,
}

impl VersionStatus {
    /// A version in this state, of whose load nothing is known.
    pub fn new(version: Version, state: ServableState, error: Option<Status>) -> Self {
        Self { version, state, error, progress: None, timings: LoadTimings::default() }
    }
}

/// What a label stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelStatus {
    /// The version that it is to stand for.
    pub wanted: Version,
    /// The version that it stands for now: another while the wanted one is not available yet, or none.
    pub attached: Option<Version>,
}

/// Whether the server as a whole wants requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The first models are still being loaded.
    Starting,
    /// Every model that is to be there was loaded or has failed.
    Ready,
    /// Shutting down: requests under way are finished, new ones should go elsewhere.
    Draining,
}

/// Tells about models and versions, loaded or not. Thread-safe; may lock for a moment.
pub trait Catalog: Send + Sync + 'static {
    /// Every model that there should be, in order of name.
    fn models(&self) -> Vec<StreamName>;

    /// The versions of a model that are known, newest first; `None` where nobody has heard of the model.
    fn versions(&self, model: &str) -> Option<Vec<VersionStatus>>;

    /// Why nobody can tell which versions the model should have, where that is so.
    fn trouble(&self, model: &str) -> Option<Status>;

    /// The labels of a model.
    fn labels(&self, model: &str) -> BTreeMap<String, LabelStatus> {
        let _ = model;
        BTreeMap::new()
    }

    /// How the requests of a version that is loaded are run together, if they are.
    fn batching(&self, model: &str, version: Version) -> Option<BatchingStatus> {
        let _ = (model, version);
        None
    }

    /// Whether a request for a version that stands so is answered: it is available, or it will be loaded.
    fn answers(&self, model: &str, status: &VersionStatus) -> bool {
        let _ = model;
        status.state == ServableState::Available
    }

    /// Whether the server as a whole wants requests.
    fn readiness(&self) -> Readiness;
}
