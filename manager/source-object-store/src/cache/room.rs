//! The shelf as several fetches share it: who is promised how much room, and which versions are in use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use salver_core_status::{Quoted, Status};

use super::shelf::{Shelf, failed, touch};
use crate::version::Object;

/// A shelf, its limit and who is at it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) shelf: Shelf,
    max_bytes: Option<u64>,
    /// Held while anything comes to its place or goes.
    awaited: Mutex<BTreeMap<String, Awaited>>,
    /// How often each version is in use. Taken after `awaited`, and alone when a lease ends.
    leases: Mutex<BTreeMap<String, usize>>,
}

/// An object that fetches under way are promised room for.
#[derive(Debug)]
struct Awaited {
    num_fetches: usize,
    /// None once it is kept.
    bytes: u64,
}

/// One object that a version needs.
pub(super) struct Wish<'a> {
    pub(super) object: &'a Object,
    pub(super) identity: String,
    /// Where in the version's staging it goes.
    pub(super) to: PathBuf,
}

/// A version that is here, and stays as long as this does: keep it until the version is unloaded.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    key: String,
    room: Arc<Room>,
}

/// Room for the objects of one fetch, given back when it is over.
pub(super) struct Promise<'a> {
    room: &'a Room,
    identities: Vec<String>,
}

impl Room {
    pub(super) fn open(folder: PathBuf, max_bytes: Option<u64>) -> Result<Self, Status> {
        let (awaited, leases) = (Mutex::default(), Mutex::default());
        let room = Self { shelf: Shelf::open(folder)?, max_bytes, awaited, leases };
        room.shrink()?;
        Ok(room)
    }

    /// Links an object to where it goes, if its content is here.
    pub(super) fn link(&self, wish: &Wish<'_>) -> Result<bool, Status> {
        let _awaited = self.awaited.lock();
        self.shelf.link(&wish.identity, wish.object.size, &wish.to)
    }

    /// Makes a content of an object that came, and links it to where it goes.
    pub(super) fn keep(&self, wish: &Wish<'_>, sha256: &str) -> Result<(), Status> {
        let mut awaited = self.awaited.lock();
        self.shelf.keep(&wish.identity, sha256)?;
        if let Some(awaited) = awaited.get_mut(&wish.identity) {
            awaited.bytes = 0;
        }
        match self.shelf.link(&wish.identity, wish.object.size, &wish.to)? {
            true => Ok(()),
            false => Err(Status::internal("a content is gone that was just kept")),
        }
    }

    /// Makes a version of its staging, and leases it.
    pub(super) fn finish(self: &Arc<Self>, key: &str, folder: &str) -> Result<Lease, Status> {
        let _awaited = self.awaited.lock();
        let version = self.shelf.version(key);
        fs::rename(self.shelf.staging(key), &version).map_err(|error| failed("making", &version, &error))?;
        Ok(self.leased(key, &version.join(folder)))
    }

    /// Leases a version, if it is here.
    pub(super) fn lease(self: &Arc<Self>, key: &str, folder: &str) -> Option<Lease> {
        let _awaited = self.awaited.lock();
        let version = self.shelf.version(key);
        if !version.is_dir() {
            return None;
        }
        touch(&version);
        Some(self.leased(key, &version.join(folder)))
    }

    fn leased(self: &Arc<Self>, key: &str, path: &Path) -> Lease {
        *self.leases.lock().entry(key.to_owned()).or_default() += 1;
        Lease { path: path.to_owned(), key: key.to_owned(), room: Arc::clone(self) }
    }

    /// Promises room for objects, for which what was used longest ago and is not in use has to go.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with the figures.
    pub(super) fn promise(&self, wishes: &[Wish<'_>]) -> Result<Promise<'_>, Status> {
        let mut awaited = self.awaited.lock();
        for Wish { identity, object, .. } in wishes {
            let new = Awaited { num_fetches: 0, bytes: object.size };
            awaited.entry(identity.clone()).or_insert(new).num_fetches += 1;
        }
        let identities = wishes.iter().map(|wish| wish.identity.clone()).collect();
        let need_bytes = wishes.iter().fold(0, |sum: u64, wish| sum.saturating_add(wish.object.size));
        let made = if wishes.is_empty() { Ok(()) } else { self.make(&awaited, need_bytes) };
        drop(awaited);
        // Taken back at once where it cannot be kept.
        let promise = Promise { room: self, identities };
        made.map(|()| promise)
    }

    fn make(&self, awaited: &BTreeMap<String, Awaited>, need_bytes: u64) -> Result<(), Status> {
        let promised = awaited.values().fold(0, |sum: u64, one| sum.saturating_add(one.bytes));
        let is_awaited = |identity: &str| awaited.contains_key(identity);
        // What cannot be had at all costs nobody else's.
        let is_possible = self.max_bytes.is_none_or(|max| promised <= max);
        loop {
            let (kept, begun) = self.shelf.used_bytes(is_awaited)?;
            let free = self.shelf.free_bytes()?;
            let fits = self.max_bytes.is_none_or(|max| kept.saturating_add(promised) <= max);
            if fits && promised.saturating_sub(begun) <= free {
                return Ok(());
            }
            if is_possible && (self.shelf.remove_loose(is_awaited)? || self.remove_oldest()?) {
                continue;
            }
            let limit = self.max_bytes.map_or_else(|| "none".to_owned(), |max| format!("{max} bytes"));
            let num_leased = self.leases.lock().len();
            return Err(Status::resource_exhausted(format!(
                "{need_bytes} bytes are needed in cache {}: its limit is {limit}, it holds {kept}, {} are promised to \
                 other fetches, {num_leased} versions are in use, and the disk has {free} free",
                Quoted(&self.shelf.root().to_string_lossy()),
                promised.saturating_sub(need_bytes),
            )));
        }
    }

    /// Removes what is past the limit, if that can be.
    fn shrink(&self) -> Result<(), Status> {
        let Some(max) = self.max_bytes else { return Ok(()) };
        let nobody = |_: &str| false;
        while self.shelf.used_bytes(nobody)?.0 > max
            && (self.shelf.remove_loose(nobody)? || self.remove_oldest()?)
        {}
        Ok(())
    }

    fn remove_oldest(&self) -> Result<bool, Status> {
        let leases = self.leases.lock();
        self.shelf.remove_oldest(|key| leases.contains_key(key))
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        let mut awaited = self.room.awaited.lock();
        for identity in &self.identities {
            if let Some(one) = awaited.get_mut(identity) {
                one.num_fetches -= 1;
                if one.num_fetches == 0 {
                    awaited.remove(identity);
                }
            }
        }
    }
}

impl Lease {
    /// The version's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.room.leases.lock();
        if let Some(count) = leases.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                leases.remove(&self.key);
            }
        }
    }
}
