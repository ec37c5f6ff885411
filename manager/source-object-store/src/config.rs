//! What to watch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use salver_core_servable::StreamName;
use salver_core_status::Status;
use salver_manager_source_file::{ModelPolicy, VersionPolicy};

use crate::address::{Address, shown};

/// What to watch.
#[derive(Clone)]
pub struct Config {
    /// Models whose URLs are known by name.
    pub models: Vec<ModelUrl>,
    /// Places in which each folder is a model: models appear and disappear with their folders.
    ///
    /// Of models of the same name, that of `models` counts, or that of the repository in which it was found first. A
    /// repository is looked at as often as `default_policy` says.
    pub repositories: Vec<StoreUrl>,
    /// The policy of models that have no other. Its `poll_interval` is the time between two looks.
    pub default_policy: ModelPolicy,
    /// What models say of themselves, if they do.
    pub settings: Option<Settings>,
    /// How long a version that appeared must be unchanged before it counts as complete. Zero: as soon as it is seen.
    pub settle: Duration,
    /// What one version may hold.
    pub limits: Limits,
    /// How long [`connect`](salver_core_loader::Source::connect) waits for the first look at everything. A model that
    /// was not answered for by then is in trouble until it is.
    pub first_look: Duration,
}

/// One model and where it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelUrl {
    /// Its name.
    pub name: StreamName,
    /// The place that has a folder per version.
    pub url: StoreUrl,
    /// Which versions to ask for, whatever its policy says.
    pub versions: Option<VersionPolicy>,
}

/// A place in an object store or on a web server, and how to get there.
///
/// | URL | what it is |
/// |---|---|
/// | `s3://bucket/prefix` | S3 and what speaks like it; settings from `AWS_*` |
/// | `gs://bucket/prefix` | Google Cloud Storage; settings from `GOOGLE_*` |
/// | `az://container/prefix`, `abfs[s]://container@account.host/prefix` | Azure; settings from `AZURE_*` |
/// | `http[s]://host/path` | a web server that lists its folders, by WebDAV or as a page of links |
///
/// The hosts of the three clouds are known behind `https://` too.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreUrl {
    /// The URL.
    pub url: String,
    /// Settings of the connection, over those of the environment: keys and values as the crate `object_store` has
    /// them, such as `aws_endpoint`, `aws_allow_http`, `aws_skip_signature`, `read_timeout`, `proxy_url` or
    /// `disable_system_certificates`.
    pub options: BTreeMap<String, String>,
}

/// What models say of themselves, in an object beside their versions.
#[derive(Clone)]
pub struct Settings {
    /// The object's name, such as `model.toml`. Where there is one, [`Cache::fetch`](crate::Cache::fetch) brings it too,
    /// to the folder above the version's.
    pub object: String,
    /// What it says.
    pub policy_for: PolicyFor,
}

/// Says which policy a model has, from the text of its settings, if it has any. Asked at every look, on the thread that
/// watches all models, so it must not block. An error becomes the model's error, and its versions stay as they are.
pub type PolicyFor = Arc<dyn Fn(&StreamName, Option<&str>) -> Result<ModelPolicy, Status> + Send + Sync>;

/// What one version may hold. More is an error of that version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many objects.
    pub objects: usize,
    /// How many bytes.
    pub bytes: u64,
}

impl Config {
    /// The models, of those of one name the first.
    pub(crate) fn by_name(&self) -> BTreeMap<StreamName, ModelUrl> {
        let models = self.models.iter().rev().map(|model| (model.name.clone(), model.clone()));
        models.collect()
    }
}

impl ModelUrl {
    /// A model of which its policy says all the rest.
    pub fn new(name: impl Into<StreamName>, url: impl Into<StoreUrl>) -> Self {
        Self { name: name.into(), url: url.into(), versions: None }
    }
}

impl StoreUrl {
    /// Whether the URL can be understood. Says nothing of what is there.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that says what is wrong with it.
    pub fn check(&self) -> Result<(), Status> {
        Address::parse(&self.url).map(drop)
    }
}

/// Without what may be secret.
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<_> = self.options.keys().collect();
        f.debug_struct("StoreUrl").field("url", &shown(&self.url)).field("options", &options).finish()
    }
}

impl From<&str> for StoreUrl {
    fn from(url: &str) -> Self {
        Self { url: url.to_owned(), options: BTreeMap::new() }
    }
}

impl From<String> for StoreUrl {
    fn from(url: String) -> Self {
        Self { url, options: BTreeMap::new() }
    }
}

impl Default for Limits {
    /// 10,000 objects, and 4 TiB.
    fn default() -> Self {
        Self { objects: 10_000, bytes: 4 << 40 }
    }
}

impl Default for Config {
    /// Nothing to watch, once a minute, for the latest version; what is added must be unchanged for five seconds.
    fn default() -> Self {
        Self {
            models: Vec::new(),
            repositories: Vec::new(),
            default_policy: ModelPolicy { poll_interval: Duration::from_secs(60), ..ModelPolicy::default() },
            settings: None,
            settle: Duration::from_secs(5),
            limits: Limits::default(),
            first_look: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("models", &self.models)
            .field("repositories", &self.repositories)
            .field("default_policy", &self.default_policy)
            .field("settings", &self.settings.as_ref().map(|settings| &settings.object))
            .field("settle", &self.settle)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
