//! What to watch, and which of the versions found to ask for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use salver_core_servable::{StreamName, Version};
use salver_core_status::Status;

/// What to watch.
#[derive(Clone)]
pub struct Config {
    /// Models whose base paths are known by name.
    pub models: Vec<ModelDir>,
    /// Folders in which each subfolder is a model: models appear and disappear with their folders.
    ///
    /// Of models of the same name, that of `models` counts, or that of the first repository.
    pub repositories: Vec<PathBuf>,
    /// The time between two scans. Zero: there is only one.
    pub poll_interval: Duration,
    /// The policy of a repository's models.
    pub default_policy: VersionPolicy,
    /// Overrides the policies above, per model.
    pub policy_for: Option<PolicyFor>,
}

/// Says which policy the model at this base path has. Asked at every scan, on the scanning thread; an
/// error becomes the model's error, and its versions stay as they are.
pub type PolicyFor = Arc<dyn Fn(&StreamName, &Path) -> Result<VersionPolicy, Status> + Send + Sync>;

/// One model and where it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDir {
    /// Its name.
    pub name: StreamName,
    /// The folder that has a subfolder per version.
    pub base_path: PathBuf,
    /// Which versions to ask for.
    pub policy: VersionPolicy,
}

/// Which of the versions that are stored should be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionPolicy {
    /// The so many numerically largest; 0 counts as 1.
    Latest(usize),
    /// All of them.
    All,
    /// Those of these that are there.
    Specific(Vec<Version>),
}

impl Default for VersionPolicy {
    fn default() -> Self {
        Self::Latest(1)
    }
}

impl Default for Config {
    /// Nothing to watch, once a second, for the latest version.
    fn default() -> Self {
        Self {
            models: Vec::new(),
            repositories: Vec::new(),
            poll_interval: Duration::from_secs(1),
            default_policy: VersionPolicy::default(),
            policy_for: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("models", &self.models)
            .field("repositories", &self.repositories)
            .field("poll_interval", &self.poll_interval)
            .field("default_policy", &self.default_policy)
            .finish_non_exhaustive()
    }
}
