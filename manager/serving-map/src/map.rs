//! Readers load two pointers; writers take a lock and replace what those point at.
//!
//! The upper pointer leads to the streams by name and moves only when a stream comes or goes. Each stream has a
//! pointer of its own to its versions, so that a swap of versions touches one stream and allocates a few words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use parking_lot::Mutex;
use salver_core_servable::{
    Handle, Lookup, LookupError, ServableId, StreamName, Tenancy, Version, VersionChoice,
};

use crate::lane;
use crate::versions::{Labels, Miss, Versions};

/// The available versions of every stream.
///
/// Reads are wait-free and do not allocate, but for a thread's first and for the text of a miss. Writes take turns;
/// they do not wait for readers.
///
/// Dropping the map ends every tenancy, as withdrawing everything does.
pub struct ServingMap<T: ?Sized> {
    streams: ArcSwap<Streams<T>>,
    writer: Mutex<Writer<T>>,
    shards: usize,
}

type Streams<T> = HashMap<StreamName, Arc<Stream<T>>>;

struct Stream<T: ?Sized> {
    versions: ArcSwap<Versions<T>>,
}

/// What only writers touch.
struct Writer<T: ?Sized> {
    /// Maps that were replaced and that a reader may still be looking at.
    ///
    /// A swap settles every reader's borrow before it returns, so that from then on the count of references is exact
    /// and can only fall. A map is freed here, by a later write, when the count shows no reader: a request never
    /// pays for a map of thousands of streams. Retired maps keep no version alive, for a stream is emptied before it
    /// leaves the map.
    retired: Vec<Arc<Streams<T>>>,
    /// The labels of every stream that has some, kept while the stream has no version.
    labels: BTreeMap<StreamName, Arc<Labels>>,
}

impl<T: ?Sized> ServingMap<T> {
    /// An empty map whose handles are counted in as many places as threads run at once.
    pub fn new() -> Self {
        Self::with_shards(lane::default_shards())
    }

    /// An empty map whose handles are counted in `shards` places per version, at least one.
    pub fn with_shards(shards: usize) -> Self {
        let writer = Writer { retired: Vec::new(), labels: BTreeMap::new() };
        Self { streams: ArcSwap::default(), writer: Mutex::new(writer), shards }
    }

    /// Makes a version available: when this returns, every look-up finds it.
    ///
    /// The caller keeps a clone of `value` and is the one who frees it. `on_vacant` is called once, after the version
    /// was withdrawn and its last handle dropped, on the thread that did the later of the two: it must only send word.
    /// Publishing a version that is there withdraws the former.
    pub fn publish(&self, id: ServableId, value: Arc<T>, on_vacant: impl Fn() + Send + Sync + 'static) {
        let name = id.name.clone();
        let tenancy = Tenancy::new(id, value, self.shards, on_vacant);
        let mut writer = self.writer.lock();
        let streams = self.streams.load_full();
        let replaced = match streams.get(name.as_str()) {
            Some(stream) => Some(stream.versions.swap(Arc::new(stream.versions.load().with(tenancy)))),
            None => {
                let labels = writer.labels.get(&name).cloned().unwrap_or_default();
                let versions = ArcSwap::from_pointee(Versions::new(labels).with(tenancy));
                let mut changed = Streams::clone(&streams);
                changed.insert(name, Arc::new(Stream { versions }));
                self.replace(&mut writer, changed);
                None
            }
        };
        // `on_vacant` may be called by this drop, and is free to call the map.
        drop(writer);
        drop(replaced);
    }

    /// Takes a version away: when this returns, no look-up finds it. Handles that were given out stay good.
    ///
    /// Returns whether it was there.
    pub fn withdraw(&self, id: &ServableId) -> bool {
        let mut writer = self.writer.lock();
        let streams = self.streams.load_full();
        let Some(stream) = streams.get(id.name.as_str()) else {
            return false;
        };
        let versions = stream.versions.load_full();
        if versions.pick(VersionChoice::Specific(id.version)).is_err() {
            return false;
        }
        let rest = versions.without(id.version);
        let last = rest.is_empty();
        let replaced = stream.versions.swap(Arc::new(rest));
        if last {
            let mut changed = Streams::clone(&streams);
            changed.remove(id.name.as_str());
            self.replace(&mut writer, changed);
        }
        drop(writer);
        drop((versions, replaced));
        true
    }

    /// Says which version each label of a stream stands for, in place of all labels it had.
    ///
    /// The stream need not be there yet, nor the versions: a label whose version is not available is a miss.
    pub fn set_labels(&self, name: &StreamName, labels: BTreeMap<String, Version>) {
        let labels = Arc::new(labels);
        let mut writer = self.writer.lock();
        if let Some(stream) = self.streams.load().get(name.as_str()) {
            stream.versions.store(Arc::new(stream.versions.load().labelled(Arc::clone(&labels))));
        }
        if labels.is_empty() {
            writer.labels.remove(name);
        } else {
            writer.labels.insert(name.clone(), labels);
        }
    }

    /// Every available version, ordered by name and version.
    pub fn available(&self) -> Vec<ServableId> {
        let streams = self.streams.load_full();
        let versions = streams.values().map(|stream| stream.versions.load());
        let ids =
            versions.flat_map(|versions| versions.iter().map(|one| one.id().clone()).collect::<Vec<_>>());
        let mut ids: Vec<_> = ids.collect();
        ids.sort();
        ids
    }

    /// Puts another upper map in place, and frees those that no reader looks at any more.
    fn replace(&self, writer: &mut Writer<T>, streams: Streams<T>) {
        writer.retired.push(self.streams.swap(Arc::new(streams)));
        writer.retired.retain(|streams| Arc::strong_count(streams) > 1);
    }
}

impl<T: ?Sized + Send + Sync> Lookup<T> for ServingMap<T> {
    fn get(&self, name: &str, version: VersionChoice<'_>) -> Result<Handle<T>, LookupError> {
        let streams = self.streams.load();
        let miss = match streams.get(name) {
            Some(stream) => match stream.versions.load().pick(version) {
                Ok(tenancy) => return Ok(tenancy.handle(lane::current())),
                Err(miss) => miss,
            },
            None => match version {
                VersionChoice::Latest => Miss::Empty,
                VersionChoice::Specific(version) => Miss::Version(version),
                VersionChoice::Label(_) => Miss::Label,
            },
        };
        Err(explain(miss, name, version))
    }
}

/// The text of a miss, away from the path of a hit.
#[cold]
fn explain(miss: Miss, name: &str, choice: VersionChoice<'_>) -> LookupError {
    match (miss, choice) {
        (Miss::Version(version), _) => LookupError::Version(name.to_owned(), version),
        (Miss::Label, VersionChoice::Label(label)) => LookupError::Label(label.to_owned()),
        (Miss::Empty | Miss::Label, _) => LookupError::Name(name.to_owned()),
    }
}

impl<T: ?Sized> Default for ServingMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: ?Sized> fmt::Debug for ServingMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServingMap").field(&self.available()).finish()
    }
}
