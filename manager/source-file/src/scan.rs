//! One look at one place: all that touches the file system, on a thread that may block.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_core_clock::Clock;
use salver_core_loader::Aspired;
use salver_core_status::Status;

use crate::files::Files;
use crate::inotify::Inotify;
use crate::model::{Brief, Found, Model};
use crate::settling::Sight;
use crate::timetable::PlaceId;
use crate::{Config, ModelDir, ModelPolicy, VersionPath};

/// What is to be looked at.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) place: PlaceId,
    pub(crate) task: Task,
}

/// What is at the place.
#[derive(Debug)]
pub(crate) enum Task {
    /// A model, and all that is remembered of it.
    Model { dir: ModelDir, memory: Model, before: Vec<Aspired<VersionPath>>, is_first: bool },
    /// A repository.
    Repository { path: PathBuf },
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) place: PlaceId,
    pub(crate) ended: Instant,
    /// When to look again anyhow; `None`: not at all.
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) outcome: Outcome,
}

/// What was found at the place.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Of a model: what was asked for, what is remembered, and what there should be.
    Model { dir: ModelDir, memory: Model, found: Result<Found, Status> },
    /// Of a repository: its folders.
    Repository { folders: Result<Vec<(OsString, PathBuf)>, Status> },
}

/// What all looks share.
pub(crate) struct Scanner {
    pub(crate) config: Config,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) clock: Arc<dyn Clock>,
    /// `None`: nothing is watched.
    pub(crate) inotify: Option<Arc<Inotify>>,
}

impl Scanner {
    /// Looks. Blocks for as long as the file system does.
    pub(crate) fn carry_out(&self, job: Job) -> Done {
        let place = job.place;
        let mut visit = self.inotify.as_deref().map(|inotify| inotify.visit(place));
        let mut enter = |path: &Path| {
            if let Some(visit) = &mut visit {
                visit.enter(path);
            }
        };
        let default = &self.config.default_policy;
        let (outcome, poll_interval) = match job.task {
            Task::Model { dir, memory, before, is_first } => {
                // Watched before anything is read: what changes after that is told of.
                enter(&dir.base_path);
                let policy = self.policy(&dir);
                let poll_interval =
                    policy.as_ref().map_or(default.poll_interval, |policy| policy.poll_interval);
                let mut memory = memory;
                let found = policy.and_then(|policy| {
                    let settle = self.config.settle;
                    let brief = Brief { dir: &dir, policy: &policy, settle, is_first, before: &before };
                    memory.scan(&brief, &*self.files, &mut |path| self.look(path, &mut enter))
                });
                if let Err(status) = &found {
                    memory.notices.replace(dir.name.as_str(), [status.to_string()].into());
                    // Where there is nothing to watch, the folder above tells when there is.
                    dir.base_path.parent().map(&mut enter);
                }
                (Outcome::Model { dir, memory, found }, poll_interval)
            }
            Task::Repository { path } => {
                enter(&path);
                let folders = self.files.subfolders(&path);
                if folders.is_err() {
                    path.parent().map(&mut enter);
                }
                (Outcome::Repository { folders }, default.poll_interval)
            }
        };
        let poll_interval = Some(poll_interval).filter(|interval| !interval.is_zero());
        match (visit, poll_interval) {
            (Some(visit), Some(_)) => visit.end(),
            // One look is all.
            (Some(visit), None) => visit.give_up(),
            (None, _) => {}
        }
        Done { place, ended: self.clock.now(), poll_interval, outcome }
    }

    /// The policy of a model, and what is said of it by name over that.
    fn policy(&self, dir: &ModelDir) -> Result<ModelPolicy, Status> {
        let mut policy = match &self.config.policy_for {
            Some(policy_for) => policy_for(&dir.name, &dir.base_path)?,
            None => self.config.default_policy.clone(),
        };
        if let Some(versions) = &dir.versions {
            policy.versions = versions.clone();
        }
        policy.poll_interval = dir.poll_interval.unwrap_or(policy.poll_interval);
        Ok(policy)
    }

    fn look(&self, path: &Path, enter: &mut dyn FnMut(&Path)) -> Sight {
        let began = self.clock.now();
        let walk = self.files.walk(path, enter);
        Sight { fingerprint: walk.fingerprint, age: walk.age, began, ended: self.clock.now() }
    }
}
