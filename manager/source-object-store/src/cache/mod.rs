//! Versions of object stores, on this machine.

mod digest;
mod download;
mod room;
mod shelf;
mod turns;

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use salver_core_loader::{Cancellation, LoadContext};
use salver_core_servable::Phase;
use salver_core_status::{Code, Quoted, Status};

use self::digest::hash_of;
use self::download::{Download, Failure};
pub use self::room::Lease;
use self::room::{Room, Wish};
use self::shelf::{Shelf, failed, remove_folder};
use self::turns::Turns;
use crate::RemoteVersion;
use crate::bucket::{Bucket, Child};
use crate::version::{self, Object, Remote, Stamp};

/// Brings versions to this machine, and keeps them.
///
/// Content is kept once, by its SHA-256, whichever objects have it. An object that is here is known again by its URL,
/// size and ETag, or time of change where there is no ETag: tags are no hashes, but they change when the object does.
/// Cloning shares the cache.
#[derive(Clone, Debug)]
pub struct Cache {
    room: Arc<Room>,
    turns: Arc<Turns>,
}

/// Where versions are kept, and how much of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// The folder, which is this cache's alone. It should be on the disk of this machine.
    pub folder: PathBuf,
    /// How many bytes it may hold; `None`: as many as the disk has. Versions that are loaded count, and stay.
    pub max_bytes: Option<u64>,
}

/// So many objects of one version are fetched at a time.
const DOWNLOADS: usize = 4;

/// How often a version that changes while it is fetched is begun anew.
const RESTARTS: u32 = 3;

/// How often a fetch looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(20);

impl Cache {
    /// Opens the cache, and clears away what an earlier process left half done; what it left whole is there again.
    /// Blocks on the file system.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where another process has it open; UNAVAILABLE or RESOURCE_EXHAUSTED where the folder cannot
    /// be made, read or written.
    pub fn open(config: CacheConfig) -> Result<Self, Status> {
        let CacheConfig { folder, max_bytes } = config;
        Ok(Self { room: Arc::new(Room::open(folder, max_bytes)?), turns: Arc::default() })
    }

    /// Brings a version here, as far as it is not here yet; [`Lease::path`] is its folder, named by its number. The
    /// folder above it is the version's own too, and has the model's settings if there are any.
    ///
    /// Blocks, and must not be called by an asynchronous task. What two fetches want is fetched once. A connection that
    /// breaks is made again, a little later each time, and goes on where it broke; so does another fetch, of this
    /// process or the next. A version that changes meanwhile is begun anew, a few times. Tells its progress as
    /// [`Phase::Fetch`], in bytes.
    ///
    /// # Errors
    /// CANCELLED soon after it is; RESOURCE_EXHAUSTED with the figures where the cache or the disk has no room;
    /// DATA_LOSS where bytes are not those that the server says they are; ABORTED where the version keeps changing;
    /// NOT_FOUND, PERMISSION_DENIED or UNAUTHENTICATED as the store says; UNAVAILABLE where it is worth another try.
    pub fn fetch(&self, version: &RemoteVersion, context: &LoadContext<'_>) -> Result<Lease, Status> {
        context.enter(Phase::Fetch);
        let remote = version.remote();
        let fetched = remote.bucket.runtime.wait(async {
            tokio::select! {
                biased;
                () = cancelled(context.cancel) => Err(Status::cancelled("no longer wanted")),
                fetched = self.bring_or_restart(remote, context) => fetched,
            }
        });
        fetched.map_err(|status| status.context(format_args!("fetching {}", Quoted(&remote.url))))
    }

    async fn bring_or_restart(&self, remote: &Remote, context: &LoadContext<'_>) -> Result<Lease, Status> {
        let mut changed = match self.bring(remote, context).await {
            Ok(lease) => return Ok(lease),
            Err(Failure::Failed(status)) => return Err(status),
            Err(Failure::Changed(status)) => status,
        };
        for _ in 0..RESTARTS {
            tracing::info!(url = remote.url, reason = %changed, "changed while it was fetched, beginning anew");
            let now = relist(remote).await?;
            changed = match self.bring(&now, context).await {
                Ok(lease) => return Ok(lease),
                Err(Failure::Failed(status)) => return Err(status),
                Err(Failure::Changed(status)) => status,
            };
        }
        Err(changed)
    }

    /// Brings the version in the state in which it was listed, or not at all.
    async fn bring(&self, remote: &Remote, context: &LoadContext<'_>) -> Result<Lease, Failure> {
        let (key, number) = (version_key(remote), remote.version.to_string());
        let _turn = self.turns.take(&format!("version {key}")).await;
        let total = remote.all().fold(0, |sum: u64, object| sum.saturating_add(object.size));
        if let Some(lease) = self.room.lease(&key, &number) {
            context.progress(total, Some(total));
            return Ok(lease);
        }
        let staging = Staging::new(&self.room.shelf, &key)?;
        let (mut wishes, mut missing) = (Vec::new(), 0_u64);
        for object in remote.all() {
            let wish = Wish { object, identity: identity(remote, object), to: staging.place(remote, object) };
            if !self.room.link(&wish)? {
                missing = missing.saturating_add(object.size);
                wishes.push(wish);
            }
        }
        let _promise = self.room.promise(&wishes)?;
        let done = Cell::new(total.saturating_sub(missing));
        let progress = |before: u64, now: u64| {
            done.set(done.get().saturating_sub(before).saturating_add(now));
            context.progress(done.get(), Some(total));
        };
        progress(0, 0);
        let downloads = wishes.iter().map(|wish| self.object(&remote.bucket, wish, &progress));
        futures_util::stream::iter(downloads).buffer_unordered(DOWNLOADS).try_collect::<()>().await?;
        Ok(self.room.finish(&key, &number)?)
    }

    /// Brings one object, unless somebody else just did.
    async fn object(
        &self,
        bucket: &Bucket,
        wish: &Wish<'_>,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(), Failure> {
        let _turn = self.turns.take(&wish.identity).await;
        if self.room.link(wish)? {
            progress(0, wish.object.size);
            return Ok(());
        }
        let partial = self.room.shelf.partial(&wish.identity);
        let sha256 = Download::open(bucket, wish.object, &partial, progress)?.run().await?;
        Ok(self.room.keep(wish, &sha256)?)
    }
}

/// A version's folder while it is filled; removed unless it is finished.
struct Staging {
    path: PathBuf,
}

impl Staging {
    fn new(shelf: &Shelf, key: &str) -> Result<Self, Status> {
        let path = shelf.staging(key);
        remove_folder(&path)?;
        fs::create_dir(&path).map_err(|error| failed("making", &path, &error))?;
        Ok(Self { path })
    }

    /// Where an object goes.
    fn place(&self, remote: &Remote, object: &Object) -> PathBuf {
        if remote.beside.as_ref().is_some_and(|beside| std::ptr::eq(beside, object)) {
            return self.path.join(&object.name);
        }
        self.path.join(remote.version.to_string()).join(&object.name)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Of one that was finished nothing is left.
        if let Err(status) = remove_folder(&self.path) {
            tracing::warn!(%status, "cache keeps what it does not need");
        }
    }
}

/// Looks at what a version consists of now.
async fn relist(remote: &Remote) -> Result<Remote, Status> {
    let listed = remote.bucket.objects(&remote.prefix, remote.limits).await?;
    let objects = version::objects(&remote.prefix, listed, remote.limits)?;
    if objects.is_empty() {
        return Err(Status::not_found("no objects are left of the version"));
    }
    let beside = match &remote.beside {
        Some(beside) => relist_beside(remote, beside).await?,
        None => None,
    };
    Ok(Remote {
        bucket: Arc::clone(&remote.bucket),
        url: remote.url.clone(),
        prefix: remote.prefix.clone(),
        version: remote.version,
        objects,
        beside,
        limits: remote.limits,
    })
}

async fn relist_beside(remote: &Remote, beside: &Object) -> Result<Option<Object>, Status> {
    let (name, location) = (beside.name.clone(), beside.location.clone());
    let child = Child { name: name.clone(), location, meta: None };
    match remote.bucket.stat(&child).await {
        Ok(meta) => Ok(Some(Object::new(name, meta))),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

/// What an object is known by: its URL, and what changes when it does.
pub(crate) fn identity(remote: &Remote, object: &Object) -> String {
    let stamp = match object.stamp() {
        Stamp::ETag(e_tag) => format!("tag {e_tag}"),
        Stamp::Modified(modified) => format!("time {modified:?}"),
    };
    let size = object.size.to_string();
    hash_of([remote.bucket.identity(), object.location.as_ref(), &size, &stamp].map(str::as_bytes))
}

/// What a version is known by: its objects, and where they go.
fn version_key(remote: &Remote) -> String {
    let number = remote.version.to_string();
    let mut parts = vec![number];
    for object in &remote.objects {
        parts.extend([object.name.clone(), identity(remote, object)]);
    }
    if let Some(object) = &remote.beside {
        parts.extend(["..".to_owned(), object.name.clone(), identity(remote, object)]);
    }
    hash_of(parts.iter().map(String::as_bytes))
}

/// Returns once the work is no longer wanted. Nobody is woken by that, so it has to look.
async fn cancelled(cancel: Cancellation<'_>) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(GLANCE).await;
    }
}
