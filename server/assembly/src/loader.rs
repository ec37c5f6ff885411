//! Loads one version of a model with the platform that is right for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use salver_batching_session::Pools;
use salver_core_loader::{LoadContext, Loader};
use salver_core_observe::{Metric, Observer};
use salver_core_platform::{Batcher, Cancellation, LoadRequest, Options, Platform};
use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::{Phase, ServableId};
use salver_core_status::{Code, Quoted, Status};
use salver_manager_source_file::VersionPath;
use salver_manager_source_object_store::{Cache, CacheConfig, Lease, RemoteVersion};
use salver_server_config::BatchingConfig;
use salver_server_inference::{NotBatched, Served, ServedOptions};

use crate::Platforms;
use crate::settings::Settings;

/// Where versions from elsewhere are brought to. Opened when the first one is.
pub(crate) struct Downloads {
    config: CacheConfig,
    cache: Mutex<Option<Cache>>,
}

impl Downloads {
    pub(crate) fn new(config: CacheConfig) -> Self {
        Self { config, cache: Mutex::default() }
    }

    /// # Errors
    /// Those of [`Cache::open`], every time until it succeeds.
    fn cache(&self) -> Result<Cache, Status> {
        let mut cache = self.cache.lock();
        if let Some(cache) = &*cache {
            return Ok(cache.clone());
        }
        let opened = Cache::open(self.config.clone())?;
        tracing::info!(folder = %self.config.folder.display(), "files from elsewhere are brought here");
        Ok(cache.insert(opened).clone())
    }
}

/// What all loaders share.
pub(crate) struct LoaderContext {
    pub(crate) platforms: Arc<Platforms>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) served: ServedOptions,
    pub(crate) observer: Arc<dyn Observer>,
    /// Whether the files of a version that is loaded are dropped from the system's cache of files.
    pub(crate) drop_file_cache: bool,
    /// Where versions from elsewhere are brought to.
    pub(crate) downloads: Downloads,
    /// Which versions' requests are run together, and how.
    pub(crate) batching: BatchingConfig,
    /// Whose threads run them.
    pub(crate) pools: Pools,
    /// What opens queues for steps inside models.
    pub(crate) batcher: Arc<dyn Batcher>,
}

/// Where a version is stored.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// Elsewhere.
    Remote(RemoteVersion),
}

impl From<RemoteVersion> for Stored {
    fn from(version: RemoteVersion) -> Self {
        Stored::Remote(version)
    }
}

impl From<VersionPath> for Stored {
    fn from(version: VersionPath) -> Self {
        Stored::Folder(version.path)
    }
}

/// Loads a version from where it is stored.
pub(crate) struct ModelLoader {
    context: Arc<LoaderContext>,
    stored: Stored,
    /// Keeps what was brought here from being cleared away while it is loaded.
    lease: Option<Lease>,
}

/// A version's files, and what is to be done with them.
struct Chosen<'a> {
    directory: PathBuf,
    platform: &'a dyn Platform,
    options: Options,
}

impl ModelLoader {
    pub(crate) fn new(context: Arc<LoaderContext>, stored: Stored) -> Self {
        Self { context, stored, lease: None }
    }

    /// A loader of the same version, for another time.
    pub(crate) fn again(&self) -> Self {
        Self::new(Arc::clone(&self.context), self.stored.clone())
    }

    fn choose(&self, id: &ServableId, directory: PathBuf) -> Result<Chosen<'_>, Status> {
        let settings = &self.context.settings;
        let wanted = settings.platform(&id.name);
        let of_model = &settings.found(&id.name).options;
        let (platform, options) = self.context.platforms.choose(&directory, wanted.as_deref(), of_model)?;
        Ok(Chosen { directory, platform, options })
    }

    fn load_model(&mut self, context: &LoadContext<'_>) -> Result<Served, Status> {
        let id = context.id;
        let directory = match &self.stored {
            Stored::Folder(folder) => folder.clone(),
            Stored::Remote(version) => {
                let lease = self.context.downloads.cache()?.fetch(version, context)?;
                context.enter(Phase::Load);
                self.lease.insert(lease).path().to_owned()
            }
        };
        let Chosen { directory, platform, options } = self.choose(id, directory)?;
        let cancel = context.cancel;
        let settings = self.context.settings.found(&id.name);
        // Before the model is loaded, which may take minutes.
        let batching =
            self.context.batching.options_for(platform.name(), &settings, id.version, &directory)?;
        let request = LoadRequest {
            id,
            directory: &directory,
            options: &options,
            cancel,
            batcher: &self.context.batcher,
        };
        let model = platform.load(&request).map_err(|status| in_folder(status, platform, &directory))?;
        if self.context.drop_file_cache {
            salver_server_memory::forget_files(&directory);
        }
        let observer = Arc::clone(&self.context.observer);
        let served = Served::new(id, model, platform.name(), self.context.served, Arc::clone(&observer));
        let Some(options) = batching else { return Ok(served) };
        let served = served.batched(id, options, &self.context.pools, &observer)?;
        tell_what_is_not_batched(id, &served);
        Ok(served)
    }
}

/// Names the signatures whose requests are run one by one although the model's are batched. Where none is batched, that was
/// told already.
fn tell_what_is_not_batched(id: &ServableId, served: &Served) {
    let signatures = served.batching().map(|status| status.signatures).unwrap_or_default();
    if signatures.iter().all(|signature| signature.not_batched.is_some()) {
        return;
    }
    for signature in signatures {
        if let Some(NotBatched(reason)) = signature.not_batched {
            tracing::info!(%id, signature = %Quoted(&signature.name), reason, "requests are not batched");
        }
    }
}

fn in_folder(status: Status, platform: &dyn Platform, directory: &Path) -> Status {
    status.context(format_args!("platform {}, `{}`", platform.name(), directory.display()))
}

impl Loader for ModelLoader {
    type Servable = Served;

    /// What the model says it takes, or else the platform; else a factor times the size of the files.
    fn estimate(&mut self, id: &ServableId) -> Result<Estimate, Status> {
        if let Some(bytes) = self.context.settings.found(&id.name).memory_bytes {
            return Ok(Estimate::steady(Allocation::ram_bytes(bytes)));
        }
        let folder = match &self.stored {
            Stored::Folder(folder) => folder.clone(),
            // What a platform would say of files that are not here yet nobody knows.
            Stored::Remote(version) => {
                return Ok(Estimate::steady(Allocation::ram_bytes(and_a_fifth(version.total_bytes()))));
            }
        };
        let Chosen { directory, platform, options } = self.choose(id, folder)?;
        let cancel = Cancellation::NEVER;
        let request = LoadRequest {
            id,
            directory: &directory,
            options: &options,
            cancel,
            batcher: &self.context.batcher,
        };
        let estimate =
            platform.estimate(&request).map_err(|status| in_folder(status, platform, &directory))?;
        match estimate {
            Some(estimate) => Ok(estimate),
            None => Ok(Estimate::steady(Allocation::ram_bytes(by_size(&directory)?))),
        }
    }

    fn load(&mut self, context: &LoadContext<'_>) -> Result<Served, Status> {
        let start = Instant::now();
        let outcome = self.load_model(context);
        let took = start.elapsed();
        let id = context.id;
        let (model, version) = (id.name.as_str(), id.version.to_string());
        let code = outcome.as_ref().err().map_or("OK", |status| Code::name(status.code()));
        let observer = &self.context.observer;
        observer.instrument(Metric::Loads, &[model, &version, code]).record(1.0);
        observer.instrument(Metric::LoadDuration, &[model, &version]).record(took.as_secs_f64());
        match &outcome {
            Ok(served) => tracing::info!(%id, platform = served.platform(), ?took, "loaded"),
            // Whether it is tried again is not known here; who knows it tells.
            Err(status) => tracing::warn!(%id, code = status.code().name(), error = %status, "load failed"),
        }
        outcome
    }

    fn measure(&self, served: &Served) -> Option<Allocation> {
        served.resources()
    }

    fn unload(&mut self, served: Served) {
        let start = Instant::now();
        served.close();
        match &self.stored {
            Stored::Folder(folder) => {
                tracing::info!(directory = %folder.display(), took = ?start.elapsed(), "unloaded");
            }
            Stored::Remote(version) => {
                tracing::info!(url = version.url(), took = ?start.elapsed(), "unloaded");
            }
        }
    }
}

/// TensorFlow Serving's estimate (`servables/tensorflow/bundle_factory_util.cc`): 1.2 times the bytes on disk.
fn by_size(directory: &Path) -> Result<u64, Status> {
    let shown = directory.display();
    let bytes = salver_server_memory::directory_size(directory)
        .map_err(|error| Status::unavailable(format!("adding up the files of `{shown}`: {error}")))?;
    Ok(and_a_fifth(bytes))
}

fn and_a_fifth(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 5)
}
