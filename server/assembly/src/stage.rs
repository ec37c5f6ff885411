//! Between source and manager: turns a version's directory into its loader.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Target};
use salver_core_servable::StreamName;
use salver_manager_source_file::VersionPath;

use crate::loader::{LoaderContext, ModelLoader};

/// Gives each version a loader, and remembers which streams there is news of.
pub(crate) struct ModelStage {
    context: Arc<LoaderContext>,
    manager: SharedTarget<ModelLoader>,
    streams: Mutex<BTreeSet<StreamName>>,
}

impl ModelStage {
    pub(crate) fn new(context: Arc<LoaderContext>, manager: SharedTarget<ModelLoader>) -> Self {
        Self { context, manager, streams: Mutex::default() }
    }

    /// The streams that the source sees versions of now, or trouble with.
    pub(crate) fn streams(&self) -> Vec<StreamName> {
        self.streams.lock().iter().cloned().collect()
    }
}

impl Target<VersionPath> for ModelStage {
    fn set_aspired(&self, aspired: AspiredVersions<VersionPath>) {
        let AspiredVersions { stream, versions } = aspired;
        // A stream without versions has no state to wait for.
        match &versions {
            Ok(versions) if versions.is_empty() => self.streams.lock().remove(&stream),
            _ => self.streams.lock().insert(stream.clone()),
        };
        let with_loader = |version: Aspired<VersionPath>| {
            let data =
                version.data.map(|directory| ModelLoader::new(Arc::clone(&self.context), directory.path));
            Aspired { version: version.version, revision: version.revision, data }
        };
        let versions = versions.map(|versions| versions.into_iter().map(with_loader).collect());
        self.manager.set_aspired(AspiredVersions { stream, versions });
    }
}
