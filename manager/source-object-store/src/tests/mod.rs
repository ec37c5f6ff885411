//! The source and the cache against a store in memory.

mod cache;
mod source;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use salver_core_loader::{Aspired, AspiredVersions, Target};
use salver_core_status::Status;
use salver_manager_source_file::{ModelPolicy, VersionPolicy};

use crate::bucket::Bucket;
use crate::runtime::Runtime;
use crate::{Config, ModelUrl, ObjectStoreSource, RemoteVersion};

type Versions = Result<Vec<Aspired<RemoteVersion>>, Status>;

/// How long a test waits for what should happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

struct Told(Sender<AspiredVersions<RemoteVersion>>);

impl Target<RemoteVersion> for Told {
    fn set_aspired(&self, aspired: AspiredVersions<RemoteVersion>) {
        let _ = self.0.send(aspired);
    }
}

/// A store at `s3://b`, and a source that looks at it all the time.
struct Fixture {
    runtime: Runtime,
    store: Arc<InMemory>,
    source: ObjectStoreSource,
    told: Receiver<AspiredVersions<RemoteVersion>>,
    target: Option<Arc<Told>>,
}

impl Fixture {
    fn new(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { settle: Duration::ZERO, first_look: PATIENCE, ..Config::default() };
        config.default_policy =
            ModelPolicy { poll_interval: Duration::from_millis(2), ..ModelPolicy::default() };
        adjust(&mut config);
        let (sender, told) = mpsc::channel();
        let source = ObjectStoreSource::new(config);
        let runtime = Runtime::start().unwrap();
        Self { runtime, store: Arc::default(), source, told, target: Some(Arc::new(Told(sender))) }
    }

    /// A source of one model, `m`, of which all versions are asked for.
    fn model() -> Self {
        Self::new(|config| config.models = vec![all("m", "s3://b/m")])
    }

    fn connect(&mut self) -> &mut Self {
        self.connect_with(&[])
    }

    /// Connects, with further stores beside `s3://b`.
    fn connect_with(&mut self, others: &[(&str, Arc<dyn ObjectStore>)]) -> &mut Self {
        let target = self.target.take().unwrap();
        let store = Arc::clone(&self.store);
        self.source.connect_with(target, |buckets| {
            buckets.insert("s3://b", store);
            for (root, store) in others {
                buckets.insert(root, Arc::clone(store));
            }
        });
        self
    }

    fn put(&mut self, path: &str, content: &str) -> &mut Self {
        let path = Path::parse(path).unwrap();
        self.runtime.wait(self.store.put(&path, content.to_owned().into())).unwrap();
        self
    }

    fn delete(&mut self, path: &str) -> &mut Self {
        self.runtime.wait(self.store.delete(&Path::parse(path).unwrap())).unwrap();
        self
    }

    /// Waits until this is told of a stream.
    fn wait<T>(&self, stream: &str, wanted: impl Fn(&Versions) -> Option<T>) -> T {
        loop {
            let told = self.told.recv_timeout(PATIENCE).unwrap();
            if let Some(wanted) =
                Some(&told.versions).filter(|_| told.stream.as_str() == stream).and_then(&wanted)
            {
                return wanted;
            }
        }
    }

    fn wait_for_numbers(&self, stream: &str, wanted: &[i64]) {
        self.wait(stream, |versions| (numbers(versions) == Some(wanted.to_vec())).then_some(()));
    }

    fn wait_for_trouble(&self, stream: &str) -> Status {
        self.wait(stream, |versions| versions.as_ref().err().cloned())
    }

    /// The one version that is asked for.
    fn version(&self, stream: &str) -> RemoteVersion {
        self.wait(stream, |versions| versions.as_ref().ok()?.first()?.data.clone().ok())
    }
}

fn all(name: &str, url: &str) -> ModelUrl {
    ModelUrl { versions: Some(VersionPolicy::All), ..ModelUrl::new(name, url) }
}

fn numbers(versions: &Versions) -> Option<Vec<i64>> {
    Some(versions.as_ref().ok()?.iter().map(|one| one.version.number()).collect())
}

fn bucket(store: Arc<dyn ObjectStore>) -> Arc<Bucket> {
    Arc::new(Bucket::of("test".to_owned(), store, Runtime::start().unwrap()))
}
