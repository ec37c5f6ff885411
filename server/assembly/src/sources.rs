//! Where versions come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use salver_core_loader::{SharedTarget, Source as _};
use salver_core_status::{Quoted, Status};
use salver_manager_source_file::{Config as FileConfig, FileSystemSource, ModelDir};
use salver_manager_source_object_store::{
    Config as ObjectConfig, ModelUrl, ObjectStoreSource, Settings as ObjectSettings, StoreUrl,
};
use salver_plugins_host::PluginSource;
use salver_server_config::{Location, ModelEntry, ModelList, SETTINGS_FILE, ServeConfig};

use crate::Platforms;
use crate::settings::Settings;
use crate::stage::{FromPlugin, ModelStage};

/// All sources. Dropping them stops them, and unloads nothing.
pub(crate) struct Sources {
    files: FileSystemSource,
    objects: ObjectStoreSource,
    /// Heard until they are dropped.
    _plugins: Vec<PluginSource>,
}

/// How long the start waits for a first word of what is at URLs. A server that is being asked whether it lives should
/// not take longer to answer.
const FIRST_LOOK: Duration = Duration::from_secs(5);

impl Sources {
    /// Starts them: `stage` hears of every version.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: a URL cannot be understood; those of [`Platforms::source`].
    pub(crate) fn start(
        config: &ServeConfig,
        settings: &Arc<Settings>,
        platforms: &Platforms,
        stage: &Arc<ModelStage>,
    ) -> Result<Self, Status> {
        let look = Arc::clone(settings);
        let mut files = FileSystemSource::new(FileConfig {
            models: model_dirs(&config.models),
            repositories: folders(&config.repositories),
            default_policy: settings.default_policy(),
            policy_for: Some(Arc::new(move |name, folder| look.look(name, folder))),
            settle: config.discovery.settle_time,
            watch: config.discovery.watch,
        });
        let look = Arc::clone(settings);
        let mut objects = ObjectStoreSource::new(ObjectConfig {
            models: model_urls(&config.models)?,
            repositories: urls(&config.repositories)?,
            default_policy: settings.default_remote_policy(),
            settings: Some(ObjectSettings {
                object: SETTINGS_FILE.to_owned(),
                policy_for: Arc::new(move |name, text| look.look_at_text(name, text)),
            }),
            settle: config.discovery.settle_time,
            first_look: FIRST_LOOK,
            ..ObjectConfig::default()
        });
        files.connect(Arc::clone(stage) as _);
        objects.connect(Arc::clone(stage) as _);
        let mut plugins = Vec::with_capacity(config.sources.len());
        for (position, entry) in config.sources.iter().enumerate() {
            let mut source = platforms.source(entry)?;
            let target = FromPlugin { stage: Arc::clone(stage), position, name: entry.to_string() };
            source.connect(Arc::new(target) as SharedTarget<PathBuf>);
            plugins.push(source);
        }
        Ok(Self { files, objects, _plugins: plugins })
    }

    /// Tells, whenever it is called, whether what is in every folder of models was told.
    pub(crate) fn seen(&self) -> impl Fn() -> bool + Send + 'static + use<> {
        self.files.seen()
    }

    /// From now on these models are looked for, beside those of repositories.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: a URL cannot be understood. Nothing was changed then.
    pub(crate) fn update(&mut self, list: &ModelList) -> Result<(), Status> {
        let urls = model_urls(list)?;
        self.files.update(model_dirs(list));
        self.objects.update(urls);
        Ok(())
    }
}

/// The models of a list that are in folders of this machine.
fn model_dirs(list: &ModelList) -> Vec<ModelDir> {
    let model_dir = |entry: &ModelEntry| {
        let folder = entry.base.folder()?;
        Some(ModelDir { versions: entry.versions.clone(), ..ModelDir::new(entry.name.clone(), folder) })
    };
    list.models.iter().filter_map(model_dir).collect()
}

/// The models of a list that are at URLs.
///
/// # Errors
/// INVALID_ARGUMENT: one cannot be understood.
pub(crate) fn model_urls(list: &ModelList) -> Result<Vec<ModelUrl>, Status> {
    let model_url = |entry: &ModelEntry| {
        let Location::Url(url) = &entry.base else { return None };
        let named = |status: Status| status.context(format_args!("model {}", Quoted(entry.name.as_str())));
        let url = store_url(url).map_err(named);
        Some(url.map(|url| ModelUrl {
            versions: entry.versions.clone(),
            ..ModelUrl::new(entry.name.clone(), url)
        }))
    };
    list.models.iter().filter_map(model_url).collect()
}

/// Those that are folders of this machine.
pub(crate) fn folders(locations: &[Location]) -> Vec<PathBuf> {
    locations.iter().filter_map(Location::folder).map(Path::to_owned).collect()
}

/// Those that are not.
fn urls(locations: &[Location]) -> Result<Vec<StoreUrl>, Status> {
    let urls = locations.iter().filter_map(|location| match location {
        Location::Folder(_) => None,
        Location::Url(url) => Some(store_url(url)),
    });
    urls.collect()
}

fn store_url(url: &str) -> Result<StoreUrl, Status> {
    let url = StoreUrl::from(url);
    url.check()?;
    Ok(url)
}
