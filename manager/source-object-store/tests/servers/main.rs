//! The source and the cache against servers that really answer.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![expect(clippy::indexing_slicing, reason = "helpers of tests are tests too")]

mod python;
mod web;
mod web_server;

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use salver_core_loader::{AspiredVersions, Cancellation, LoadContext, Source, Target};
use salver_core_servable::{ServableId, Version};
use salver_core_status::Status;
use salver_manager_source_file::{ModelPolicy, VersionPolicy};
use salver_manager_source_object_store::{
    Cache, CacheConfig, Config, Lease, ModelUrl, ObjectStoreSource, RemoteVersion,
};
use tempfile::TempDir;

/// How long a test waits for what should happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

struct Told(Sender<AspiredVersions<RemoteVersion>>);

impl Target<RemoteVersion> for Told {
    fn set_aspired(&self, aspired: AspiredVersions<RemoteVersion>) {
        let _ = self.0.send(aspired);
    }
}

/// Starts to watch.
fn watch(config: Config) -> (ObjectStoreSource, Receiver<AspiredVersions<RemoteVersion>>) {
    let mut source = ObjectStoreSource::new(config);
    let (sender, told) = mpsc::channel();
    source.connect(Arc::new(Told(sender)));
    (source, told)
}

/// Takes at once what it finds, and looks again all the time.
fn eager(models: Vec<ModelUrl>) -> Config {
    let default_policy = ModelPolicy {
        versions: VersionPolicy::All,
        poll_interval: Duration::from_millis(5),
        ..ModelPolicy::default()
    };
    Config { models, default_policy, settle: Duration::ZERO, first_look: PATIENCE, ..Config::default() }
}

/// What a first look at a model finds.
fn versions(model: ModelUrl) -> Result<Vec<RemoteVersion>, Status> {
    let (_source, told) = watch(eager(vec![model]));
    let versions = told.recv_timeout(PATIENCE).unwrap().versions?;
    versions.into_iter().map(|version| version.data).collect()
}

/// Bytes of which no two pages are alike.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u64).map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn cache() -> (TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(CacheConfig { folder: folder.path().to_owned(), max_bytes: None }).unwrap();
    (folder, cache)
}

fn fetch(cache: &Cache, version: &RemoteVersion) -> Result<Lease, Status> {
    let id = ServableId::new("m", Version::new(1).unwrap());
    cache.fetch(version, &LoadContext::new(&id, Cancellation::NEVER))
}

fn weights(lease: &Lease) -> Vec<u8> {
    fs::read(lease.path().join("weights")).unwrap()
}
