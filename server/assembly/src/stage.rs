//! Between sources and manager: turns where a version is into its loader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Target};
use salver_core_servable::{StreamName, Version};
use salver_core_status::Status;
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
}

/// Which source speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Files,
    Objects,
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
        Self { context, manager, set_labels, streams: Mutex::default(), heard: Condvar::new() }
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

    fn pass_on<D: Into<Stored>>(&self, origin: Origin, aspired: AspiredVersions<D>) {
        let AspiredVersions { stream, versions } = aspired;
        if !self.may_speak(origin, &stream) {
            return;
        }
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

    /// Whether a source is the one that counts for a stream: that of the place in the list of models; or else the one
    /// that had versions of it first, as long as it has some.
    fn may_speak(&self, origin: Origin, stream: &StreamName) -> bool {
        match self.context.settings.listed_at(stream) {
            Some(Location::Folder(_)) => return origin == Origin::Files,
            Some(Location::Url(_)) => return origin == Origin::Objects,
            None => {}
        }
        let mut streams = self.streams.lock();
        let heard = streams.entry(stream.clone()).or_default();
        let is_taken = heard.is_waited_for() && heard.origin.is_some_and(|other| other != origin);
        if is_taken {
            tracing::debug!(model = %stream, "ignored: a model of its name is served from elsewhere");
        } else {
            heard.origin = Some(origin);
        }
        !is_taken
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
        self.pass_on(Origin::Files, aspired);
    }
}

impl Target<RemoteVersion> for ModelStage {
    fn set_aspired(&self, aspired: AspiredVersions<RemoteVersion>) {
        self.pass_on(Origin::Objects, aspired);
    }
}
