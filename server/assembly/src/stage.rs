//! Between sources and manager: turns where a version is into its loader.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Target};
use salver_core_servable::{StreamName, Version};
use salver_core_status::{Quoted, Status};
use salver_manager_source_file::VersionPath;
use salver_manager_source_object_store::RemoteVersion;
use salver_server_config::Location;

use crate::loader::{LoaderContext, ModelLoader, Stored};

/// Gives each version a loader and each stream its labels, and remembers what sources said last.
pub(crate) struct ModelStage {
    context: Arc<LoaderContext>,
    manager: SharedTarget<ModelLoader>,
    set_labels: SetLabels,
    streams: Mutex<BTreeMap<StreamName, Heard>>,
    heard: Condvar,
    /// Whom the log has told that another has the stream.
    told_off: Mutex<BTreeSet<(StreamName, Origin)>>,
}

/// Who is told which version each label of a stream stands for.
pub(crate) type SetLabels = Box<dyn Fn(&StreamName, BTreeMap<String, Version>) + Send + Sync>;

/// What was heard of one stream last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// How many times something was heard.
    pub(crate) count: u64,
    /// The versions that there should be.
    pub(crate) versions: Vec<Version>,
    /// Why nobody can tell which there should be.
    pub(crate) trouble: Option<Status>,
    labels: BTreeMap<String, Version>,
    /// Who spoke.
    origin: Option<Origin>,
    /// Whether nobody else may speak.
    is_claimed: bool,
}

/// Which source speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Files,
    Objects,
    /// One of the plugins', by its position among them.
    Plugin(usize),
}

impl Heard {
    /// Whether there is, or is going to be, news of the stream's versions.
    fn is_waited_for(&self) -> bool {
        // A stream without versions has no state to wait for.
        self.trouble.is_some() || !self.versions.is_empty()
    }
}

impl ModelStage {
    pub(crate) fn new(
        context: Arc<LoaderContext>,
        manager: SharedTarget<ModelLoader>,
        set_labels: SetLabels,
    ) -> Self {
        let (streams, heard, told_off) = (Mutex::default(), Condvar::new(), Mutex::default());
        Self { context, manager, set_labels, streams, heard, told_off }
    }

    /// The streams that sources see versions of now, or trouble with.
    pub(crate) fn streams(&self) -> Vec<StreamName> {
        let streams = self.streams.lock();
        streams.iter().filter(|(_, heard)| heard.is_waited_for()).map(|(name, _)| name.clone()).collect()
    }

    /// What was heard of a stream last.
    pub(crate) fn heard(&self, name: &StreamName) -> Heard {
        self.streams.lock().get(name).cloned().unwrap_or_default()
    }

    /// Blocks until more was heard of each of these streams than so many times, and returns true; or until the
    /// deadline, and returns false.
    pub(crate) fn wait_until_heard(&self, counts: &[(StreamName, u64)], deadline: Instant) -> bool {
        let is_heard = |streams: &BTreeMap<StreamName, Heard>| {
            counts.iter().all(|(name, count)| streams.get(name).is_some_and(|heard| heard.count > *count))
        };
        let mut streams = self.streams.lock();
        while !is_heard(&streams) {
            if self.heard.wait_until(&mut streams, deadline).timed_out() {
                return is_heard(&streams);
            }
        }
        true
    }

    /// Takes what a source says, where that counts.
    fn pass_on<D: Into<Stored>>(&self, origin: Origin, speaker: &str, aspired: AspiredVersions<D>) {
        if self.claim(origin, speaker, &aspired).is_ok() {
            self.tell(aspired);
        }
    }

    /// Gives a stream to the source that counts for it: that of the place in the list of models; or else the one that had
    /// versions of it first, as long as it has some. What it says is to be [told](Self::tell) then.
    ///
    /// # Errors
    /// ALREADY_EXISTS: another source counts. The log says so once.
    fn claim<D>(&self, origin: Origin, speaker: &str, aspired: &AspiredVersions<D>) -> Result<(), Status> {
        let AspiredVersions { stream, versions } = aspired;
        let listed = match self.context.settings.listed_at(stream) {
            Some(Location::Folder(_)) => Some(Origin::Files),
            Some(Location::Url(_)) => Some(Origin::Objects),
            None => None,
        };
        let mut streams = self.streams.lock();
        let heard = streams.entry(stream.clone()).or_default();
        let owner = listed.or(heard.origin.filter(|_| heard.is_claimed));
        if owner.is_none_or(|owner| owner == origin) {
            (heard.origin, heard.is_claimed) = (Some(origin), true);
            drop(streams);
            self.told_off.lock().remove(&(stream.clone(), origin));
            return Ok(());
        }
        drop(streams);
        let is_nothing = versions.as_ref().is_ok_and(Vec::is_empty);
        if !is_nothing && self.told_off.lock().insert((stream.clone(), origin)) {
            tracing::warn!(model = %stream, source = speaker, "ignored: a model of its name is served from elsewhere");
        }
        let name = Quoted(stream.as_str());
        Err(Status::already_exists(format!("model {name} is served from elsewhere")))
    }

    /// Tells the manager what there should be, and remembers it.
    fn tell<D: Into<Stored>>(&self, aspired: AspiredVersions<D>) {
        let AspiredVersions { stream, versions } = aspired;
        let (wanted, trouble) = match &versions {
            Ok(versions) => (Some(versions.iter().map(|one| one.version).collect()), None),
            Err(status) => (None, Some(status.clone())),
        };
        let loader = |aspired: Aspired<D>| {
            let Aspired { version, revision, data } = aspired;
            let data = data.map(|stored| ModelLoader::new(Arc::clone(&self.context), stored.into()));
            Aspired { version, revision, data }
        };
        let versions = versions.map(|versions| versions.into_iter().map(loader).collect());
        self.manager.set_aspired(AspiredVersions { stream: stream.clone(), versions });
        self.note(stream, wanted, trouble);
    }

    /// Remembers what was heard, and sets labels where they changed.
    fn note(&self, stream: StreamName, wanted: Option<Vec<Version>>, trouble: Option<Status>) {
        if wanted.as_ref().is_some_and(Vec::is_empty) {
            self.context.settings.forget(&stream);
        }
        let labels = self.context.settings.labels(&stream);
        let mut streams = self.streams.lock();
        let heard = streams.entry(stream.clone()).or_default();
        heard.count += 1;
        heard.trouble = trouble;
        if let Some(wanted) = wanted {
            heard.versions = wanted;
        }
        heard.is_claimed = heard.is_waited_for();
        if heard.labels != labels {
            for (label, version) in labels.iter().filter(|(_, version)| !heard.versions.contains(version)) {
                tracing::warn!(model = %stream, label, %version, "label waits for a version that is not asked for");
            }
            heard.labels.clone_from(&labels);
            // Under the lock: of two changes running the later counts.
            (self.set_labels)(&stream, labels);
        }
        drop(streams);
        self.heard.notify_all();
    }
}

impl Target<VersionPath> for ModelStage {
    fn set_aspired(&self, aspired: AspiredVersions<VersionPath>) {
        self.pass_on(Origin::Files, "folders", aspired);
    }
}

impl Target<RemoteVersion> for ModelStage {
    fn set_aspired(&self, aspired: AspiredVersions<RemoteVersion>) {
        self.pass_on(Origin::Objects, "URLs", aspired);
    }
}

/// The stage, as one of the plugins' sources sees it.
pub(crate) struct FromPlugin {
    pub(crate) stage: Arc<ModelStage>,
    /// Which of them.
    pub(crate) position: usize,
    /// What the log calls it.
    pub(crate) name: String,
}

impl Target<PathBuf> for FromPlugin {
    fn set_aspired(&self, aspired: AspiredVersions<PathBuf>) {
        // The log says what became of it.
        let _ = self.offer(aspired);
    }

    fn offer(&self, aspired: AspiredVersions<PathBuf>) -> Result<(), Status> {
        self.stage.claim(Origin::Plugin(self.position), &self.name, &aspired)?;
        let AspiredVersions { stream, versions } = aspired;
        let versions = versions.and_then(|versions| self.with_settings(&stream, versions));
        self.stage.tell(AspiredVersions { stream, versions });
        Ok(())
    }
}

impl FromPlugin {
    /// Reads what a model says of itself beside the directory of its latest version. Which versions there should be is the
    /// source's to say.
    ///
    /// # Errors
    /// Those of [`Settings::look`](crate::settings::Settings::look).
    fn with_settings(
        &self,
        stream: &StreamName,
        mut versions: Vec<Aspired<PathBuf>>,
    ) -> Result<Vec<Aspired<VersionPath>>, Status> {
        versions.sort_by_key(|aspired| aspired.version);
        let latest = versions.iter().rev().find_map(|aspired| aspired.data.as_ref().ok()?.parent());
        let settings = match latest {
            Some(folder) => self.stage.context.settings.look(stream, folder)?.revision,
            None => 0,
        };
        let with_settings = |Aspired { version, revision, data }| {
            let mut hasher = DefaultHasher::new();
            (revision, settings).hash(&mut hasher);
            let data = data.map(|path| VersionPath { path });
            Aspired { version, revision: hasher.finish(), data }
        };
        Ok(versions.into_iter().map(with_settings).collect())
    }
}
