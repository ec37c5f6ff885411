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
    /// Of models of the same name, that of `models` counts, or that of the first repository. A repository is looked
    /// at as often as `default_policy` says.
    pub repositories: Vec<PathBuf>,
    /// The policy of models that have no other.
    pub default_policy: ModelPolicy,
    /// Says which policy a model has, in place of `default_policy`.
    pub policy_for: Option<PolicyFor>,
    /// How long a version that appeared must be unchanged before it counts as complete.
    pub settle: Duration,
    /// Whether to look also when the system tells of a change, and not only as often as a policy says. File systems on
    /// a network tell of none that other machines make.
    pub watch: bool,
}

/// Says which policy the model at this base path has. Asked at every look, on a thread that may block and that looks
/// at no other model meanwhile; an error becomes the model's error, and its versions stay as they are.
pub type PolicyFor = Arc<dyn Fn(&StreamName, &Path) -> Result<ModelPolicy, Status> + Send + Sync>;

/// One model and where it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDir {
    /// Its name.
    pub name: StreamName,
    /// The folder that has a subfolder per version.
    pub base_path: PathBuf,
    /// Which versions to ask for, whatever its policy says.
    pub versions: Option<VersionPolicy>,
    /// The time between two looks, whatever its policy says.
    pub poll_interval: Option<Duration>,
}

impl ModelDir {
    /// A model of which its policy says all the rest.
    pub fn new(name: impl Into<StreamName>, base_path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), base_path: base_path.into(), versions: None, poll_interval: None }
    }
}

/// How one model is watched, and what of it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPolicy {
    /// Which versions to ask for.
    pub versions: VersionPolicy,
    /// The time between two looks. Zero: one look is all, and nothing is watched. [`Duration::MAX`]: only when the
    /// system tells of a change, or somebody asks for a look.
    pub poll_interval: Duration,
    /// The name of a file that a version has once it is complete: without it, a version that appears is not taken.
    pub marker: Option<String>,
    /// Whether the versions asked for last stay when the folder is found without any.
    pub keep_last: bool,
    /// Changes when settings do from which a version might fail to load; versions that failed are then tried again.
    pub revision: u64,
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

impl VersionPolicy {
    /// Those of the versions, which are ascending, that the policy asks for; ascending too.
    pub fn choose(&self, mut versions: Vec<Version>) -> Vec<Version> {
        match self {
            Self::Latest(count) => versions.split_off(versions.len().saturating_sub((*count).max(1))),
            Self::All => versions,
            Self::Specific(wanted) => {
                versions.retain(|version| wanted.contains(version));
                versions
            }
        }
    }
}

impl Default for VersionPolicy {
    fn default() -> Self {
        Self::Latest(1)
    }
}

impl Default for ModelPolicy {
    /// The latest version, looked for once a second.
    fn default() -> Self {
        Self {
            versions: VersionPolicy::default(),
            poll_interval: Duration::from_secs(1),
            marker: None,
            keep_last: false,
            revision: 0,
        }
    }
}

impl Default for Config {
    /// Nothing to watch; what is added to it must be unchanged for a second, and changes are noticed at once.
    fn default() -> Self {
        Self {
            models: Vec::new(),
            repositories: Vec::new(),
            default_policy: ModelPolicy::default(),
            policy_for: None,
            settle: Duration::from_secs(1),
            watch: true,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("models", &self.models)
            .field("repositories", &self.repositories)
            .field("default_policy", &self.default_policy)
            .field("settle", &self.settle)
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}
