//! The serving map, and what one would write without it.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use salver_core_servable::{Lookup as _, ServableId, Version, VersionChoice};
use salver_manager_serving_map::ServingMap;

use super::{STREAMS, VERSIONS, name_of};

/// Anything that leads from a name and a version to a value that stays alive while it is used.
pub(super) trait Contender: Sync {
    /// Finds the value, looks at it and lets go of it. Returns whether there was one.
    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool;

    /// Puts another value in the place of a version.
    fn swap(&self, name: &str, version: i64);
}

/// Ours.
pub(super) struct Salver(ServingMap<i64>);

impl Salver {
    pub(super) fn new() -> Self {
        let salver = Self(ServingMap::new());
        for stream in 0..STREAMS {
            VERSIONS.iter().for_each(|version| salver.swap(&name_of(stream), *version));
        }
        salver
    }
}

impl Contender for Salver {
    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool {
        self.0.get(name, choice).is_ok_and(|handle| {
            black_box(*handle);
            true
        })
    }

    fn swap(&self, name: &str, version: i64) {
        if let Some(number) = Version::new(version) {
            self.0.publish(ServableId::new(name, number), Arc::new(version), || {});
        }
    }
}

/// The versions of a stream, ascending.
type Versions = Vec<(i64, Arc<i64>)>;
type Streams = HashMap<String, Versions>;

fn streams() -> Streams {
    let versions = || VERSIONS.iter().map(|version| (*version, Arc::new(*version))).collect();
    (0..STREAMS).map(|stream| (name_of(stream), versions())).collect()
}

fn pick(streams: &Streams, name: &str, choice: VersionChoice<'_>) -> Option<Arc<i64>> {
    let versions = streams.get(name)?;
    let found = match choice {
        VersionChoice::Latest => versions.last(),
        VersionChoice::Specific(wanted) => versions.iter().find(|(version, _)| *version == wanted.number()),
        VersionChoice::Label(_) => None,
    };
    found.map(|(_, value)| Arc::clone(value))
}

fn replace(streams: &mut Streams, name: &str, wanted: i64) {
    let found = streams
        .get_mut(name)
        .and_then(|versions| versions.iter_mut().find(|(version, _)| *version == wanted));
    if let Some((version, value)) = found {
        *value = Arc::new(*version);
    }
}

fn look_at(value: Option<Arc<i64>>) -> bool {
    value.is_some_and(|value| {
        black_box(*value);
        true
    })
}

/// A lock around a map.
pub(super) struct Locked(RwLock<Streams>);

impl Locked {
    pub(super) fn new() -> Self {
        Self(RwLock::new(streams()))
    }
}

impl Contender for Locked {
    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool {
        let value = pick(&self.0.read().unwrap_or_else(PoisonError::into_inner), name, choice);
        look_at(value)
    }

    fn swap(&self, name: &str, version: i64) {
        replace(&mut self.0.write().unwrap_or_else(PoisonError::into_inner), name, version);
    }
}

/// A map that is copied and swapped as a whole, its values counted in one place each.
pub(super) struct Swapped(ArcSwap<Streams>);

impl Swapped {
    pub(super) fn new() -> Self {
        Self(ArcSwap::from_pointee(streams()))
    }
}

impl Contender for Swapped {
    fn look_up(&self, name: &str, choice: VersionChoice<'_>) -> bool {
        let value = pick(&self.0.load(), name, choice);
        look_at(value)
    }

    fn swap(&self, name: &str, version: i64) {
        let mut changed = Streams::clone(&self.0.load());
        replace(&mut changed, name, version);
        self.0.store(Arc::new(changed));
    }
}
