//! Which models there are, what is known of each, and what there is to tell: pure, with time as an argument.
//!
//! Whoever drives it carries out the [jobs](Agenda::start) it gives, on any thread and in any order, returns what
//! came of each, and passes on what [there is to tell](Agenda::take_news).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use salver_core_loader::{Aspired, AspiredVersions};
use salver_core_servable::StreamName;
use salver_core_status::{Code, Status};

use crate::listing::shown;
use crate::model::{Found, Model};
use crate::notices::Notices;
use crate::scan::{Done, Job, Outcome, Task};
use crate::timetable::{PlaceId, STUCK, Timetable};
use crate::{Config, ModelDir, VersionPath};

/// What there is to tell others.
#[derive(Debug)]
pub(crate) enum News {
    /// To the target.
    Aspired(AspiredVersions<VersionPath>),
    /// To whoever watches: this place need not be watched any more.
    Gone(PlaceId),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Agenda {
    /// The models known by name.
    named: Vec<ModelDir>,
    repositories: Vec<Repository>,
    /// Every model that is to be looked at.
    models: BTreeMap<StreamName, Watched>,
    places: BTreeMap<PlaceId, Subject>,
    timetable: Timetable,
    next_place: PlaceId,
    /// Until when somebody waits at most, if nothing of what is awaited comes meanwhile.
    patience_ends: Option<Instant>,
    /// Whether a repository that is empty all at once is taken for one that is not mounted.
    keep_last: bool,
    news: Vec<News>,
}

#[derive(Debug)]
struct Repository {
    place: PlaceId,
    path: PathBuf,
    /// The models found in it when it was last readable, and their base paths.
    models: BTreeMap<StreamName, PathBuf>,
    /// What is to be said of it beside models that are hidden by others.
    remarks: BTreeSet<String>,
    notices: Notices,
    is_readable: bool,
    /// Nobody has read it yet.
    is_first: bool,
    is_awaited: bool,
}

/// A model that is looked at.
#[derive(Debug)]
struct Watched {
    place: PlaceId,
    dir: ModelDir,
    /// Which repository it is in, if it is in one.
    home: Option<usize>,
    /// Away while it is looked at.
    memory: Option<Model>,
    /// What was asked for last.
    before: Vec<Aspired<VersionPath>>,
    is_first: bool,
    /// Its folder was not found. Whether that is to be told or the model is gone, its repository says.
    missing: Option<Status>,
    awaited: Awaited,
    /// Whether the look under way began before somebody waited for one.
    is_outdated: bool,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Nothing,
    Look,
    /// A look at this time or later: what was found was too new to be taken at once.
    LookAt(Instant),
}

#[derive(Clone, Debug)]
enum Subject {
    Model(StreamName),
    Repository(usize),
}

impl Agenda {
    /// An agenda on which everything is due.
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        let mut agenda = Self {
            named: config.models.clone(),
            repositories: Vec::new(),
            models: BTreeMap::new(),
            places: BTreeMap::new(),
            timetable: Timetable::default(),
            next_place: 0,
            patience_ends: now.checked_add(STUCK),
            keep_last: config.default_policy.keep_last,
            news: Vec::new(),
        };
        for (index, path) in config.repositories.iter().enumerate() {
            let place = agenda.add_place(Subject::Repository(index), None, now);
            agenda.repositories.push(Repository {
                place,
                path: path.clone(),
                models: BTreeMap::new(),
                remarks: BTreeSet::new(),
                notices: Notices::default(),
                is_readable: true,
                is_first: true,
                is_awaited: true,
            });
        }
        agenda.reconcile(now);
        agenda
    }

    /// Replaces the models known by name. All of them are due.
    pub(crate) fn update(&mut self, named: Vec<ModelDir>, now: Instant) {
        self.named = named;
        self.patience_ends = now.checked_add(STUCK);
        self.reconcile(now);
        for model in self.models.values_mut().filter(|model| model.home.is_none()) {
            model.awaited = Awaited::Look;
            model.is_outdated = model.memory.is_none();
            self.timetable.wake(model.place, now);
        }
    }

    /// Has everything be due.
    pub(crate) fn rescan(&mut self, now: Instant) {
        self.places.keys().for_each(|place| self.timetable.wake(*place, now));
    }

    /// Takes in that something changed at a place.
    pub(crate) fn changed(&mut self, place: PlaceId, now: Instant) {
        self.timetable.changed(place, now);
    }

    /// When there is something to do again, if nothing happens before.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let waited = self.patience_ends.filter(|_| self.is_awaited(now));
        self.timetable.next(now).into_iter().chain(waited).min()
    }

    /// Whether somebody should wait: for a model known by name, or found in the first look at a repository, that nobody
    /// has looked at yet, or that was too new to be taken and has not had its time. Where looks hang there is an end.
    pub(crate) fn is_awaited(&self, now: Instant) -> bool {
        self.patience_ends.is_some_and(|end| now < end)
            && (self.models.values().any(|model| model.awaited != Awaited::Nothing)
                || self.repositories.iter().any(|repository| repository.is_awaited))
    }

    /// Whether every repository was read, and nobody should wait for what was found.
    pub(crate) fn is_seen(&self, now: Instant) -> bool {
        !self.is_awaited(now) && !self.repositories.iter().any(|repository| repository.is_first)
    }

    /// What there is to tell, in order.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// The next thing to look at now.
    pub(crate) fn start(&mut self, now: Instant) -> Option<Job> {
        let place = self.timetable.start(now)?;
        let task = match self.places.get(&place)? {
            Subject::Repository(index) => {
                Task::Repository { path: self.repositories.get(*index)?.path.clone() }
            }
            Subject::Model(name) => {
                let model = self.models.get_mut(name)?;
                let memory = model.memory.take().unwrap_or_default();
                let (dir, before) = (model.dir.clone(), model.before.clone());
                Task::Model { dir, memory, before, is_first: model.is_first }
            }
        };
        Some(Job { place, task })
    }

    /// Takes in what a look found.
    pub(crate) fn finish(&mut self, done: Done, now: Instant) {
        let Some(subject) = self.places.get(&done.place).cloned() else {
            // Removed while it was looked at, and perhaps watched since.
            self.timetable.finish(done.place, done.ended, None);
            self.news.push(News::Gone(done.place));
            return;
        };
        let mut next = done.poll_interval.and_then(|interval| done.ended.checked_add(interval));
        if let Outcome::Model { found: Ok(found), .. } = &done.outcome {
            next = next.into_iter().chain(found.settles).min();
        }
        self.timetable.finish(done.place, done.ended, next);
        match (subject, done.outcome) {
            (Subject::Model(name), Outcome::Model { dir, memory, found }) => {
                self.finish_model(&name, &dir, memory, found, done.ended, now);
            }
            (Subject::Repository(index), Outcome::Repository { folders }) => {
                self.finish_repository(index, folders, done.poll_interval.is_none(), now);
            }
            (subject, _) => debug_assert!(false, "{subject:?} is not what was looked at"),
        }
    }

    /// Tells of looks that take so long that nobody should wait for them.
    pub(crate) fn notice_stuck(&mut self, now: Instant) {
        for place in self.timetable.newly_stuck(now) {
            match self.places.get(&place) {
                Some(Subject::Model(name)) => {
                    let Some(model) = self.models.get_mut(name) else { continue };
                    let versions = Err(stuck(&model.dir.base_path));
                    self.news.push(News::Aspired(AspiredVersions { stream: name.clone(), versions }));
                }
                Some(Subject::Repository(index)) => {
                    let Some(repository) = self.repositories.get_mut(*index) else { continue };
                    repository.remarks = [stuck(&repository.path).to_string()].into();
                    self.remark(*index, BTreeSet::new());
                }
                None => {}
            }
        }
    }

    fn finish_model(
        &mut self,
        name: &StreamName,
        dir: &ModelDir,
        memory: Model,
        found: Result<Found, Status>,
        ended: Instant,
        now: Instant,
    ) {
        let Some(model) = self.models.get_mut(name) else { return };
        (model.memory, model.is_first, model.missing) = (Some(memory), false, None);
        let is_outdated = std::mem::take(&mut model.is_outdated);
        if model.dir != *dir {
            // What was asked is not what is wanted any more.
            self.timetable.wake(model.place, now);
            return;
        }
        let settles = found.as_ref().ok().and_then(|found| found.settles);
        if model.awaited == Awaited::Look {
            self.patience_ends = now.checked_add(STUCK);
        }
        model.awaited = match (model.awaited, settles) {
            (Awaited::Look, _) if is_outdated => Awaited::Look,
            (Awaited::Look, Some(at)) => Awaited::LookAt(at),
            (Awaited::LookAt(at), Some(_)) if ended < at => Awaited::LookAt(at),
            _ => Awaited::Nothing,
        };
        let versions = match found {
            Ok(found) => {
                model.before.clone_from(&found.versions);
                Ok(found.versions)
            }
            Err(status) => match model.home.and_then(|home| self.repositories.get(home)) {
                Some(repository) if status.code() == Code::NotFound => {
                    model.missing = Some(status);
                    self.timetable.wake(repository.place, now);
                    return;
                }
                _ => Err(status),
            },
        };
        self.news.push(News::Aspired(AspiredVersions { stream: name.clone(), versions }));
    }

    fn finish_repository(
        &mut self,
        index: usize,
        folders: Result<Vec<(OsString, PathBuf)>, Status>,
        is_last: bool,
        now: Instant,
    ) {
        let keep_last = self.keep_last;
        let Some(repository) = self.repositories.get_mut(index) else { return };
        let was_readable = repository.is_readable;
        let trouble = repository.take_in(folders, keep_last).err();
        repository.is_readable = trouble.is_none();
        repository.remarks.extend(trouble.as_ref().map(Status::to_string));
        if repository.is_first && trouble.is_none() {
            // What is found for the first time is waited for.
            self.patience_ends = now.checked_add(STUCK);
        }
        self.reconcile(now);
        if let Some(repository) = self.repositories.get_mut(index) {
            repository.is_first &= trouble.is_some() && !is_last;
            repository.is_awaited = false;
        }
        let is_readable = trouble.is_none();
        for (name, model) in self.models.iter_mut().filter(|(_, model)| model.home == Some(index)) {
            // Each model says for itself whether it can be read.
            if was_readable != is_readable {
                self.timetable.wake(model.place, now);
            }
            if let Some(missing) = model.missing.take() {
                let versions = Err(trouble.clone().unwrap_or(missing));
                self.news.push(News::Aspired(AspiredVersions { stream: name.clone(), versions }));
            }
        }
    }

    /// Watches the models that are to be watched, and no others.
    fn reconcile(&mut self, now: Instant) {
        let mut wanted: BTreeMap<StreamName, (Option<usize>, ModelDir)> = BTreeMap::new();
        for dir in &self.named {
            wanted.entry(dir.name.clone()).or_insert_with(|| (None, dir.clone()));
        }
        for index in 0..self.repositories.len() {
            let mut hidden = BTreeSet::new();
            let models = self.repositories.get(index).into_iter().flat_map(|repository| &repository.models);
            for (name, path) in models {
                match wanted.entry(name.clone()) {
                    Entry::Vacant(vacant) => {
                        vacant.insert((Some(index), ModelDir::new(name.clone(), path)));
                    }
                    Entry::Occupied(_) => {
                        let ignored = shown(path);
                        hidden.insert(format!(
                            "{ignored} is ignored: a model of its name is served from elsewhere"
                        ));
                    }
                }
            }
            self.remark(index, hidden);
        }
        let gone: Vec<_> = self.models.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone {
            tracing::info!(model = %name, "not to be served any more, unloading");
            self.models.remove(&name).into_iter().for_each(|model| self.remove_place(model.place));
            self.news.push(News::Aspired(AspiredVersions { stream: name, versions: Ok(Vec::new()) }));
        }
        for (name, (home, dir)) in wanted {
            self.watch(name, home, dir, now);
        }
    }

    /// Watches a model, where it is not watched yet.
    fn watch(&mut self, name: StreamName, home: Option<usize>, dir: ModelDir, now: Instant) {
        let mut before = Vec::new();
        if let Some(model) = self.models.get_mut(&name) {
            if model.dir.base_path == dir.base_path && model.home == home {
                model.dir = dir;
                return;
            }
            // Elsewhere: all that is known does not hold there. What was asked for stays until it is known what is.
            before = std::mem::take(&mut model.before);
            let place = model.place;
            self.remove_place(place);
        }
        let repository = home.and_then(|home| self.repositories.get(home));
        let is_first = repository.is_none_or(|repository| repository.is_first);
        let home_place = repository.map(|repository| repository.place);
        let place = self.add_place(Subject::Model(name.clone()), home_place, now);
        let awaited = if is_first { Awaited::Look } else { Awaited::Nothing };
        let memory = Some(Model::default());
        let model = Watched {
            place,
            dir,
            home,
            memory,
            before,
            is_first,
            missing: None,
            awaited,
            is_outdated: false,
        };
        self.models.insert(name, model);
    }

    fn add_place(&mut self, subject: Subject, home: Option<PlaceId>, now: Instant) -> PlaceId {
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert(place, subject);
        self.timetable.add(place, home.unwrap_or(place), now);
        place
    }

    fn remove_place(&mut self, place: PlaceId) {
        self.places.remove(&place);
        self.timetable.remove(place);
        self.news.push(News::Gone(place));
    }

    /// Says what is to be said of a repository.
    fn remark(&mut self, index: usize, hidden: BTreeSet<String>) {
        let Some(repository) = self.repositories.get_mut(index) else { return };
        let remarks = repository.remarks.iter().cloned().chain(hidden).collect();
        repository.notices.replace(&repository.path.to_string_lossy(), remarks);
    }

    #[cfg(test)]
    pub(crate) fn notices(&self, model: &str) -> Vec<&str> {
        let memory = self.models.get(model).and_then(|model| model.memory.as_ref());
        memory.map(|memory| memory.notices.shown()).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn place(&self, model: &str) -> PlaceId {
        self.models[model].place
    }

    #[cfg(test)]
    pub(crate) fn repository_notices(&self) -> Vec<&str> {
        self.repositories.iter().flat_map(|repository| repository.notices.shown()).collect()
    }
}

impl Repository {
    /// Takes in the models. Those found before stay known where the repository cannot be read.
    fn take_in(
        &mut self,
        folders: Result<Vec<(OsString, PathBuf)>, Status>,
        keep_last: bool,
    ) -> Result<(), Status> {
        self.remarks.clear();
        let folders = folders?;
        if keep_last && folders.is_empty() && !self.models.is_empty() {
            let path = shown(&self.path);
            return Err(Status::unavailable(format!("no model in {path}: the last ones stay loaded")));
        }
        self.models.clear();
        for (name, path) in folders {
            match name.into_string() {
                Ok(name) => drop(self.models.insert(StreamName::from(name), path)),
                Err(_) => {
                    let path = shown(&path);
                    self.remarks.insert(format!("{path} is ignored: its name is not UTF-8"));
                }
            }
        }
        Ok(())
    }
}

fn stuck(path: &Path) -> Status {
    let limit = STUCK.as_secs();
    Status::unavailable(format!("looking at {} has taken longer than {limit} s", shown(path)))
}
