//! Where versions come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_core_loader::Source as _;
use salver_manager_source_file::{Config as FileConfig, FileSystemSource, ModelDir};
use salver_server_config::{Location, ModelEntry, ModelList, ServeConfig};

use crate::settings::Settings;
use crate::stage::ModelStage;

/// All sources. Dropping them stops them, and unloads nothing.
pub(crate) struct Sources {
    files: FileSystemSource,
}

impl Sources {
    /// Starts them: `stage` hears of every version.
    pub(crate) fn start(config: &ServeConfig, settings: &Arc<Settings>, stage: &Arc<ModelStage>) -> Self {
        let look = Arc::clone(settings);
        let mut files = FileSystemSource::new(FileConfig {
            models: model_dirs(&config.models),
            repositories: folders(&config.repositories),
            default_policy: settings.default_policy(),
            policy_for: Some(Arc::new(move |name, folder| look.look(name, folder))),
            settle: config.discovery.settle_time,
            watch: config.discovery.watch,
        });
        files.connect(Arc::clone(stage) as _);
        Self { files }
    }

    /// From now on these models are looked for, beside those of repositories.
    pub(crate) fn update(&self, list: &ModelList) {
        self.files.update(model_dirs(list));
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

/// Those that are folders of this machine.
pub(crate) fn folders(locations: &[Location]) -> Vec<PathBuf> {
    locations.iter().filter_map(Location::folder).map(Path::to_owned).collect()
}
