//! Looks at every model once, and remembers what the next look needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use salver_core_loader::AspiredVersions;
use salver_core_servable::StreamName;
use salver_core_status::Status;

use crate::listing::{self, shown};
use crate::model::Model;
use crate::notices::Notices;
use crate::{Config, ModelDir, VersionPath, VersionPolicy};

/// Finds out which versions there should be, each time it is asked.
#[derive(Debug)]
pub struct Scanner {
    config: Config,
    models: BTreeMap<StreamName, Model>,
    repositories: Vec<Repository>,
    is_first: bool,
}

#[derive(Debug)]
struct Repository {
    path: PathBuf,
    /// The models found in it when it was last readable, and their base paths.
    models: BTreeMap<StreamName, PathBuf>,
    notices: Notices,
}

/// What a scan is about to look at.
enum Look {
    Model(PathBuf, Result<VersionPolicy, Status>),
    /// A model of a repository that cannot be read.
    Trouble(Status),
}

impl Scanner {
    /// A scanner that has not looked yet.
    pub fn new(config: Config) -> Self {
        let repository = |path: &PathBuf| Repository {
            path: path.clone(),
            models: BTreeMap::new(),
            notices: Notices::default(),
        };
        let repositories = config.repositories.iter().map(repository).collect();
        Self { config, models: BTreeMap::new(), repositories, is_first: true }
    }

    /// Looks at every model, and says of each which versions there should be, ordered by name.
    ///
    /// A model whose folder vanished from its repository is named once more, with no versions. Blocks on the file
    /// system. What a person should know is logged, once.
    pub fn scan(&mut self) -> Vec<AspiredVersions<VersionPath>> {
        let looks = self.looks();
        let mut aspired = Vec::with_capacity(looks.len());
        self.models.retain(|name, _| {
            let is_there = looks.contains_key(name);
            if !is_there {
                tracing::info!(model = %name, "folder is gone, unloading the model");
                aspired.push(AspiredVersions { stream: name.clone(), versions: Ok(Vec::new()) });
            }
            is_there
        });
        for (stream, look) in looks {
            let model = self.models.entry(stream.clone()).or_default();
            let versions = match look {
                Look::Model(base_path, Ok(policy)) => model.scan(&stream, &base_path, &policy, self.is_first),
                Look::Model(_, Err(status)) | Look::Trouble(status) => Err(model.trouble(&stream, status)),
            };
            aspired.push(AspiredVersions { stream, versions });
        }
        self.is_first = false;
        aspired.sort_by(|one, other| one.stream.cmp(&other.stream));
        aspired
    }

    /// Every model to look at: those named in the configuration, then those found in repositories.
    fn looks(&mut self) -> BTreeMap<StreamName, Look> {
        let mut looks = BTreeMap::new();
        for ModelDir { name, base_path, policy } in &self.config.models {
            let policy = self.config.policy(name, base_path, policy);
            looks.entry(name.clone()).or_insert_with(|| Look::Model(base_path.clone(), policy));
        }
        for repository in &mut self.repositories {
            let mut notices = BTreeSet::new();
            let trouble = repository.list(&mut notices).err();
            notices.extend(trouble.as_ref().map(Status::to_string));
            for (name, base_path) in &repository.models {
                if looks.contains_key(name) {
                    let ignored = shown(base_path);
                    notices.insert(format!(
                        "{ignored} is ignored: a model of its name is served from elsewhere"
                    ));
                    continue;
                }
                let look = match &trouble {
                    None => {
                        let policy = self.config.policy(name, base_path, &self.config.default_policy);
                        Look::Model(base_path.clone(), policy)
                    }
                    Some(status) => Look::Trouble(status.clone()),
                };
                looks.insert(name.clone(), look);
            }
            repository.notices.replace(&repository.path.to_string_lossy(), notices);
        }
        looks
    }

    #[cfg(test)]
    pub(crate) fn notices(&self, model: &str) -> Vec<&str> {
        self.models.get(model).map(|model| model.notices.shown()).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn repository_notices(&self) -> Vec<&str> {
        self.repositories.iter().flat_map(|repository| repository.notices.shown()).collect()
    }
}

impl Repository {
    /// Finds the models. Those found before stay known where the repository cannot be read.
    fn list(&mut self, notices: &mut BTreeSet<String>) -> Result<(), Status> {
        let folders = listing::subfolders(&self.path)?;
        self.models.clear();
        for (name, path) in folders {
            match name.into_string() {
                Ok(name) => drop(self.models.insert(StreamName::from(name), path)),
                Err(_) => drop(notices.insert(format!("{} is ignored: its name is not UTF-8", shown(&path)))),
            }
        }
        Ok(())
    }
}

impl Config {
    /// The policy of a model: what `policy_for` says, or else `otherwise`.
    fn policy(
        &self,
        name: &StreamName,
        base_path: &Path,
        otherwise: &VersionPolicy,
    ) -> Result<VersionPolicy, Status> {
        match &self.policy_for {
            Some(policy_for) => policy_for(name, base_path),
            None => Ok(otherwise.clone()),
        }
    }
}
