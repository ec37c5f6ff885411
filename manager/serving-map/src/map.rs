//! Readers load two pointers; writers take a lock and replace what those point at.
//!
//! The upper pointer leads to the streams by name and moves only when a stream comes or goes. Each stream has a
//! pointer of its own to its versions, so that a swap of versions touches one stream and allocates a few words.

use std::collections::BTreeMap;
use std::fmt;

use salver_core_servable::{
    Handle, Lookup, LookupError, ServableId, StreamName, Tenancy, Version, VersionChoice,
};

use crate::labels::LabelStatus;
use crate::lane;
use crate::retired::Retired;
use crate::sync::{Arc, ArcSwap, Map, Mutex};
use crate::versions::{Miss, Versions};

/// The available versions of every stream, and its labels.
///
/// Reads are wait-free and do not allocate, but for a thread's first and for the text of a miss. Writes take turns;
/// they do not wait for readers.
///
/// Dropping the map ends every tenancy, as withdrawing everything does.
pub struct ServingMap<T: ?Sized> {
    streams: ArcSwap<Streams<T>>,
    /// What only writers touch: they hold it while they write. A request never pays for freeing a map of thousands of
    /// streams, a later write does. Retired maps keep no version alive, for a stream is emptied before it leaves.
    retired: Mutex<Retired<Streams<T>>>,
    shards: usize,
}

/// The streams that have a version or a label.
type Streams<T> = Map<StreamName, Arc<Stream<T>>>;

struct Stream<T: ?Sized> {
    versions: ArcSwap<Versions<T>>,
}

impl<T: ?Sized> ServingMap<T> {
    /// An empty map whose handles are counted in more places than threads run at once.
    pub fn new() -> Self {
        Self::with_shards(lane::default_shards())
    }

    /// An empty map whose handles are counted in `shards` places per version, at least one.
    pub fn with_shards(shards: usize) -> Self {
        Self { streams: ArcSwap::from_pointee(Map::new()), retired: Mutex::new(Retired::new()), shards }
    }

    /// Makes a version available: when this returns, every look-up finds it, and the labels that waited for it stand
    /// for it. Both come in one step: no look-up sees one without the other.
    ///
    /// The caller keeps a clone of `value` and is the one who frees it. `on_vacant` is called once, after the version
    /// was withdrawn and its last handle dropped, on the thread that did the later of the two: it must only send word.
    /// Publishing a version that is there withdraws the former.
    pub fn publish(&self, id: ServableId, value: Arc<T>, on_vacant: impl Fn() + Send + Sync + 'static) {
        let name = id.name.clone();
        let tenancy = Tenancy::new(id, value, self.shards, on_vacant);
        self.change(&name, |versions| Some(versions.with(tenancy)));
    }

    /// Takes a version away: when this returns, no look-up finds it. Handles that were given out stay good.
    ///
    /// Returns whether it was there. Labels that stand for it are misses until it is back or they are moved.
    pub fn withdraw(&self, id: &ServableId) -> bool {
        self.change(&id.name, |versions| versions.has(id.version).then(|| versions.without(id.version)))
    }

    /// Says which version each label of a stream is to stand for, in place of all labels it had, in one step.
    ///
    /// A label whose version is available stands for it when this returns. Any other goes on standing for the version
    /// it stood for, as long as that is available, and moves in the step that [publishes](Self::publish) the wanted
    /// one; a new label is a miss until then. Neither the stream nor the versions need be there yet.
    pub fn set_labels(&self, name: &StreamName, wanted: BTreeMap<String, Version>) {
        self.change(name, |versions| Some(versions.labelled(wanted)));
    }

    /// What each label of a stream stands for; none of a stream that is not known.
    pub fn labels(&self, name: &str) -> BTreeMap<String, LabelStatus> {
        let streams = self.streams.load_full();
        streams.get(name).map(|stream| stream.versions.load().labels()).unwrap_or_default()
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

    /// Puts another state of a stream in place of the one it has, with one swap. Returns whether there was anything to
    /// change.
    fn change(&self, name: &StreamName, change: impl FnOnce(&Versions<T>) -> Option<Versions<T>>) -> bool {
        let mut retired = self.retired.lock();
        let stream = self.streams.load().get(name.as_str()).cloned();
        let changed = match &stream {
            Some(stream) => change(&stream.versions.load()),
            None => change(&Versions::new()),
        };
        let Some(changed) = changed else {
            return false;
        };
        let is_empty = changed.is_empty();
        let replaced = match stream {
            Some(stream) => {
                // Emptied first: whoever is still led to it finds nothing that is gone.
                let replaced = stream.versions.swap(Arc::new(changed));
                if is_empty {
                    self.replace(&mut retired, |streams| streams.remove(name.as_str()));
                }
                Some(replaced)
            }
            None if is_empty => None,
            None => {
                let stream = Arc::new(Stream { versions: ArcSwap::from_pointee(changed) });
                self.replace(&mut retired, |streams| streams.insert(name.clone(), stream));
                None
            }
        };
        // The last may call `on_vacant`, which is free to call the map.
        drop(retired);
        drop(replaced);
        true
    }

    /// Puts another upper map in place, and frees those that no reader looks at any more.
    fn replace(
        &self,
        retired: &mut Retired<Streams<T>>,
        change: impl FnOnce(&mut Streams<T>) -> Option<Arc<Stream<T>>>,
    ) {
        let mut changed = Streams::clone(&self.streams.load());
        change(&mut changed);
        retired.push(self.streams.swap(Arc::new(changed)));
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
    let name = name.to_owned();
    match (miss, choice) {
        (Miss::Version(version), _) => LookupError::Version(name, version),
        (Miss::Label, VersionChoice::Label(label)) => LookupError::Label(label.to_owned()),
        (Miss::Waiting(version), VersionChoice::Label(label)) => {
            LookupError::Waiting { name, label: label.to_owned(), version }
        }
        (Miss::Empty | Miss::Label | Miss::Waiting(_), _) => LookupError::Name(name),
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
