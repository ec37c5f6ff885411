//! The serving map, and what one would write without it; and the requests that they answer.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use parking_lot::RwLock;
use salver_core_servable::{Lookup as _, ServableId, StreamName, Version, VersionChoice};
use salver_manager_serving_map::ServingMap;

/// Anything that leads from a name and a version to a value that stays alive while it is used.
pub(crate) trait Contender: Default + Sync {
    const NAME: &str;

    /// Finds the value, looks at it and lets go of it. Returns whether there was one.
    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool;

    /// Makes a version available; in place of the one of the same number, if there is one.
    fn publish(&self, name: &str, version: i64);

    /// Takes a version away.
    fn withdraw(&self, name: &str, version: i64);

    /// With these streams, and these versions of each.
    fn holding(streams: usize, versions: &[i64]) -> Self {
        let contender = Self::default();
        for stream in 0..streams {
            versions.iter().for_each(|version| contender.publish(&name_of(stream), *version));
        }
        contender
    }
}

/// Ours.
pub(crate) type Salver = ServingMap<i64>;

impl Contender for Salver {
    const NAME: &str = "serving map";

    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool {
        self.get(name, choice).is_ok_and(|handle| {
            black_box(*handle);
            true
        })
    }

    fn publish(&self, name: &str, version: i64) {
        if let Some(number) = Version::new(version) {
            ServingMap::publish(self, ServableId::new(name, number), Arc::new(version), || {});
        }
    }

    fn withdraw(&self, name: &str, version: i64) {
        if let Some(number) = Version::new(version) {
            ServingMap::withdraw(self, &ServableId::new(name, number));
        }
    }
}

/// Lets the label `stable` stand for a version of each stream.
pub(crate) fn label(map: &Salver, streams: usize, version: i64) {
    let labels: std::collections::BTreeMap<_, _> =
        Version::new(version).into_iter().map(|version| ("stable".to_owned(), version)).collect();
    for stream in 0..streams {
        map.set_labels(&StreamName::from(name_of(stream)), labels.clone());
    }
}

/// The versions of a stream, ascending.
#[derive(Clone, Default)]
pub(crate) struct Versions(Vec<(i64, Arc<i64>)>);

impl Versions {
    fn look_up(&self, choice: VersionChoice<'_>) -> Option<Arc<i64>> {
        let found = match choice {
            VersionChoice::Latest => self.0.last(),
            VersionChoice::Specific(wanted) => self.0.iter().find(|(version, _)| *version == wanted.number()),
            VersionChoice::Label(_) => None,
        };
        found.map(|(_, value)| Arc::clone(value))
    }

    fn publish(&mut self, version: i64) {
        let value = Arc::new(version);
        match self.0.binary_search_by_key(&version, |(version, _)| *version) {
            Ok(place) => drop(self.0.get_mut(place).map(|(_, former)| *former = value)),
            Err(place) => self.0.insert(place, (version, value)),
        }
    }

    fn withdraw(&mut self, version: i64) {
        self.0.retain(|(other, _)| *other != version);
    }
}

fn look_at(value: Option<Arc<i64>>) -> bool {
    value.is_some_and(|value| {
        black_box(*value);
        true
    })
}

/// A map that is copied and swapped as a whole, its values counted in one place each.
pub(crate) type Swapped = ArcSwap<HashMap<String, Versions>>;

impl Contender for Swapped {
    const NAME: &str = "ArcSwap<HashMap>";

    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool {
        let value = self.load().get(name).and_then(|versions| versions.look_up(choice));
        look_at(value)
    }

    fn publish(&self, name: &str, version: i64) {
        let mut changed = HashMap::clone(&self.load());
        changed.entry(name.to_owned()).or_default().publish(version);
        self.store(Arc::new(changed));
    }

    fn withdraw(&self, name: &str, version: i64) {
        let mut changed = HashMap::clone(&self.load());
        changed.entry(name.to_owned()).or_default().withdraw(version);
        self.store(Arc::new(changed));
    }
}

/// A lock around a map.
pub(crate) type Locked = RwLock<HashMap<String, Versions>>;

impl Contender for Locked {
    const NAME: &str = "RwLock<HashMap>";

    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool {
        let value = self.read().get(name).and_then(|versions| versions.look_up(choice));
        look_at(value)
    }

    fn publish(&self, name: &str, version: i64) {
        self.write().entry(name.to_owned()).or_default().publish(version);
    }

    fn withdraw(&self, name: &str, version: i64) {
        self.write().entry(name.to_owned()).or_default().withdraw(version);
    }
}

/// A map in pieces with a lock around each.
pub(crate) type Sharded = DashMap<String, Versions>;

impl Contender for Sharded {
    const NAME: &str = "DashMap";

    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool {
        let value = self.get(name).and_then(|versions| versions.look_up(choice));
        look_at(value)
    }

    fn publish(&self, name: &str, version: i64) {
        self.entry(name.to_owned()).or_default().publish(version);
    }

    fn withdraw(&self, name: &str, version: i64) {
        self.entry(name.to_owned()).or_default().withdraw(version);
    }
}

pub(crate) fn name_of(stream: usize) -> String {
    format!("stream-{stream}")
}

/// One look-up to do.
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) choice: VersionChoice<'static>,
}

/// Streams and versions of each, of the requests below.
pub(crate) const STREAMS: usize = 10;
pub(crate) const VERSIONS: [i64; 2] = [1, 2];

/// The requests of TensorFlow Serving's `BM_GetServableHandle`, the same in every run: 1,024, of which 80 % ask for the
/// latest version and 20 % for a specific one.
pub(crate) fn draw() -> Vec<Request> {
    const REQUESTS: usize = 1024;
    // Marsaglia's xorshift: any sequence without a pattern does.
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut below = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % bound
    };
    let mut request = || {
        let name = name_of(below(STREAMS as u64) as usize);
        let is_latest = below(100) < 80;
        let [older, newer] = VERSIONS;
        let version = Version::new(if below(2) == 0 { older } else { newer });
        let choice = match version {
            Some(version) if !is_latest => VersionChoice::Specific(version),
            _ => VersionChoice::Latest,
        };
        Request { name, choice }
    };
    (0..REQUESTS).map(|_| request()).collect()
}

/// What TensorFlow Serving's benchmark does with a servable where it does some work: ten thousand steps of one float.
pub(crate) fn work() {
    let mut sum = 0.0_f32;
    for step in 0..10_000_u16 {
        sum += black_box(f32::from(step));
    }
    black_box(sum);
}
