//! What is said of each model: by a list of models, and by the model itself.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use salver_core_servable::{StreamName, Version};
use salver_core_status::Status;
use salver_manager_policy::Policy;
use salver_manager_source_file::ModelPolicy;
use salver_server_config::{
    Location, ModelEntry, ModelList, ModelSettings, SETTINGS_FILE, ServeConfig, TRITON_FILE,
};

/// The settings of every model, as they were found last. What a list says counts before what a model says of itself.
pub(crate) struct Settings {
    policy: ModelPolicy,
    remote_poll_interval: Duration,
    transition: Policy,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    listed: BTreeMap<StreamName, ModelEntry>,
    found: BTreeMap<StreamName, Arc<ModelSettings>>,
}

impl Settings {
    pub(crate) fn new(config: &ServeConfig) -> Self {
        let policy = ModelPolicy {
            versions: config.version_policy.clone(),
            poll_interval: config.discovery.poll_interval,
            keep_last: config.discovery.keep_last_versions,
            ..ModelPolicy::default()
        };
        let settings = Self {
            policy,
            remote_poll_interval: config.discovery.remote_poll_interval,
            transition: config.loading.transition.into(),
            known: RwLock::default(),
        };
        settings.replace(&config.models);
        settings
    }

    /// How models in folders are watched that do not say.
    pub(crate) fn default_policy(&self) -> ModelPolicy {
        self.policy.clone()
    }

    /// How models at URLs are watched that do not say.
    pub(crate) fn default_remote_policy(&self) -> ModelPolicy {
        ModelPolicy { poll_interval: self.remote_poll_interval, ..self.policy.clone() }
    }

    /// Forgets the list before, and takes this one.
    pub(crate) fn replace(&self, list: &ModelList) {
        let listed = list.models.iter().map(|entry| (entry.name.clone(), entry.clone()));
        self.known.write().listed = listed.collect();
    }

    /// Reads what a model says of itself in the folder that holds its versions, and says how to watch it. Of a folder that
    /// is away the versions stay loaded, and so what it said stays.
    ///
    /// # Errors
    /// The file of settings cannot be read, or has none; what was read before then counts on.
    pub(crate) fn look(&self, name: &StreamName, folder: &Path) -> Result<ModelPolicy, Status> {
        let revision = revision(folder);
        let mut found = ModelSettings::read(folder)?;
        // Looked at later: the folder may have gone while it was read.
        if is_away(folder, self.policy.keep_last) {
            found = ModelSettings::clone(&self.found(name));
        }
        Ok(self.note(name, found, self.policy.poll_interval, revision))
    }

    /// The same of a model at a URL, of which the text of its settings was brought here, if it has any.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub(crate) fn look_at_text(&self, name: &StreamName, text: Option<&str>) -> Result<ModelPolicy, Status> {
        let found = text.map(ModelSettings::of_text).transpose()?.unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Ok(self.note(name, found, self.remote_poll_interval, hasher.finish()))
    }

    fn note(
        &self,
        name: &StreamName,
        found: ModelSettings,
        poll_interval: Duration,
        revision: u64,
    ) -> ModelPolicy {
        let policy = ModelPolicy {
            versions: found.version_policy.clone().unwrap_or_else(|| self.policy.versions.clone()),
            poll_interval: found.poll_interval.unwrap_or(poll_interval),
            marker: found.complete_marker.clone(),
            keep_last: self.policy.keep_last,
            revision,
        };
        let mut known = self.known.write();
        let before = known.found.get(name);
        if before.is_some_and(|before| {
            (&before.batching, &before.version_batching) != (&found.batching, &found.version_batching)
        }) {
            tracing::info!(model = %name, "batching is said otherwise now, which counts for versions that are loaded from here on");
        }
        if before.is_none_or(|before| **before != found) {
            known.found.insert(name.clone(), Arc::new(found));
        }
        policy
    }

    /// Where a list says that a model is, if it is in the list.
    pub(crate) fn listed_at(&self, name: &StreamName) -> Option<Location> {
        self.known.read().listed.get(name).map(|entry| entry.base.clone())
    }

    /// Forgets what a model said that is not there any more.
    pub(crate) fn forget(&self, name: &StreamName) {
        self.known.write().found.remove(name);
    }

    /// What a model said of itself last.
    pub(crate) fn found(&self, name: &StreamName) -> Arc<ModelSettings> {
        self.known.read().found.get(name).cloned().unwrap_or_default()
    }

    /// Which platform loads a model, where that is said.
    pub(crate) fn platform(&self, name: &StreamName) -> Option<String> {
        let known = self.known.read();
        let listed = known.listed.get(name).and_then(|entry| entry.platform.clone());
        listed.or_else(|| known.found.get(name)?.platform.clone())
    }

    /// Which version each label of a model stands for.
    pub(crate) fn labels(&self, name: &StreamName) -> BTreeMap<String, Version> {
        let known = self.known.read();
        let listed = known.listed.get(name).map(|entry| &entry.labels).filter(|labels| !labels.is_empty());
        let found = || known.found.get(name).map(|found| &found.labels);
        listed.or_else(found).cloned().unwrap_or_default()
    }

    /// In which order a model's versions come and go.
    pub(crate) fn transition(&self, name: &StreamName) -> Policy {
        self.known
            .read()
            .found
            .get(name)
            .and_then(|found| found.transition)
            .map_or(self.transition, Policy::from)
    }
}

/// Whether a folder is not there; an empty one neither, where that is taken for a place at which nothing is mounted.
fn is_away(folder: &Path, and_empty: bool) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => and_empty && entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// A number that changes when a file of settings does, so that mending it mends the model.
fn revision(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in [SETTINGS_FILE, TRITON_FILE] {
        let metadata = std::fs::metadata(folder.join(file)).ok();
        metadata.map(|metadata| (metadata.len(), metadata.modified().ok())).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(keep_last: bool) -> Settings {
        Settings {
            policy: ModelPolicy { keep_last, ..ModelPolicy::default() },
            remote_poll_interval: Duration::ZERO,
            transition: Policy::AvailabilityPreserving,
            known: RwLock::default(),
        }
    }

    #[test]
    fn what_a_model_said_counts_while_its_folder_is_away() {
        let repository = tempfile::tempdir().unwrap();
        let folder = repository.path().join("m");
        let (settings, keeping) = (settings(false), settings(true));
        let stable = [("stable".to_owned(), Version::new(1).unwrap())].into();
        let look = |settings: &Settings| {
            settings.look(&"m".into(), &folder).unwrap();
            settings.labels(&"m".into())
        };
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(SETTINGS_FILE), "[labels]\nstable = 1").unwrap();
        assert_eq!([look(&settings), look(&keeping)], [BTreeMap::clone(&stable), BTreeMap::clone(&stable)]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!([look(&settings), look(&keeping)], [BTreeMap::clone(&stable), BTreeMap::clone(&stable)]);
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(
            [look(&settings), look(&keeping)],
            [BTreeMap::new(), stable],
            "nothing is mounted, perhaps"
        );
        std::fs::create_dir(folder.join("1")).unwrap();
        assert_eq!(look(&keeping), BTreeMap::new(), "there is a version, and no file of settings");
    }
}
