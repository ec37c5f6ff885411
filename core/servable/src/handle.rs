//! Handles: references that keep a version alive, counted where cores do not fight over the count.
//!
//! One [`Tenancy`] stands for one loaded version. It keeps several [`Arc`]s to small *shards*, each on cache lines of
//! its own, and a [`Handle`] is a clone of one of them: threads that use different shards count on different lines.
//! Each shard refers to the value, and so does the tenancy's owner, who is told when the last shard is gone. Until it
//! gives up its own reference nobody else can be the last, so a value is never freed by dropping a handle.

use std::fmt;
use std::ops::Deref;

use crossbeam_utils::CachePadded;

use crate::ServableId;
use crate::sync::{Arc, AtomicUsize, Ordering};

/// Keeps one version of a servable alive and leads to it. Cheap to clone, may be sent and dropped anywhere.
///
/// Dropping a handle never frees the servable: the manager does, on a thread of its own, after the last drop. Holding
/// one delays the unloading of its own version, and nothing else.
pub struct Handle<T: ?Sized>(Arc<CachePadded<Shard<T>>>);

/// The holder's side of one loaded version: hands out [`Handle`]s until it is dropped.
///
/// Dropping it ends the tenancy: no new handles; when the last one is dropped too, `on_vacant` is called, once, on
/// the thread that dropped it.
pub struct Tenancy<T: ?Sized> {
    shards: Box<[Arc<CachePadded<Shard<T>>>]>,
}

/// Fields are dropped in this order: the reference goes before the count, so that whoever sees the count at zero
/// sees no reference.
struct Shard<T: ?Sized> {
    value: Arc<T>,
    seat: Seat,
}

/// One shard's part in the count of shards.
struct Seat(Arc<Common>);

/// What the shards of one tenancy share. Not touched while handles come and go, but for `id`, which is only read.
struct Common {
    id: ServableId,
    shards_left: AtomicUsize,
    on_vacant: Box<dyn Fn() + Send + Sync>,
}

impl<T: ?Sized> Tenancy<T> {
    /// Begins the tenancy of `value`, counted in `shards` places (at least one; as many as threads run at once).
    ///
    /// Whoever calls this keeps a clone of `value` until `on_vacant` was called, and thereby is the one who frees it.
    /// `on_vacant` runs on any thread, a request's too: it must only send word.
    pub fn new(
        id: ServableId,
        value: Arc<T>,
        shards: usize,
        on_vacant: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let shards = shards.max(1);
        let common =
            Arc::new(Common { id, shards_left: AtomicUsize::new(shards), on_vacant: Box::new(on_vacant) });
        let shard = || {
            let shard = Shard { value: Arc::clone(&value), seat: Seat(Arc::clone(&common)) };
            Arc::new(CachePadded::new(shard))
        };
        Self { shards: (0..shards).map(|_| shard()).collect() }
    }

    /// A handle, counted at the place that belongs to `lane`: any number, best the same for the same thread.
    ///
    /// Wait-free.
    pub fn handle(&self, lane: usize) -> Handle<T> {
        // `new` made at least one shard, and a remainder is below the length.
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length is below it")]
        Handle(Arc::clone(&self.shards[lane % self.shards.len()]))
    }

    /// Which version this is.
    pub fn id(&self) -> &ServableId {
        #[expect(clippy::indexing_slicing, reason = "`new` makes at least one shard")]
        &self.shards[0].seat.0.id
    }
}

impl<T: ?Sized> Handle<T> {
    /// Which version this is.
    pub fn id(&self) -> &ServableId {
        &self.0.seat.0.id
    }
}

impl<T: ?Sized> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: ?Sized> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(self.id()).finish()
    }
}

impl<T: ?Sized> fmt::Debug for Tenancy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tenancy").field(self.id()).finish()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.0.shards_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            (self.0.on_vacant)();
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::Version;
    use std::sync::mpsc;

    fn id() -> ServableId {
        ServableId::new("m", Version::new(1).unwrap())
    }

    #[test]
    fn the_owner_is_told_once_when_tenancy_and_handles_are_gone_and_then_holds_the_only_reference() {
        let value = Arc::new(7);
        let (sender, told) = mpsc::channel();
        let tenancy = Tenancy::new(id(), Arc::clone(&value), 4, move || sender.send(()).unwrap());
        let handles: Vec<_> = (0..9).map(|lane| tenancy.handle(lane)).collect();
        drop(tenancy);
        for handle in handles {
            assert!(told.try_recv().is_err());
            assert_eq!((*handle, handle.id()), (7, &id()));
        }
        assert!(told.try_recv().is_ok());
        assert!(told.try_recv().is_err());
        assert_eq!(Arc::into_inner(value), Some(7));
    }

    #[test]
    fn a_clone_keeps_the_version_alive() {
        let (sender, told) = mpsc::channel();
        let tenancy = Tenancy::new(id(), Arc::new(()), 1, move || sender.send(()).unwrap());
        let clone = tenancy.handle(0).clone();
        drop(tenancy);
        assert!(told.try_recv().is_err());
        drop(clone);
        assert!(told.try_recv().is_ok());
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_tests {
    use super::*;
    use crate::Version;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    #[test]
    fn the_last_drop_of_any_thread_tells_the_owner_who_then_holds_the_only_reference() {
        loom::model(|| {
            let value = Arc::new(7);
            let told = Arc::new(AtomicUsize::new(0));
            let tell = Arc::clone(&told);
            let id = ServableId::new("m", Version::new(1).unwrap());
            let tenancy = Tenancy::new(id, Arc::clone(&value), 2, move || {
                tell.fetch_add(1, Ordering::SeqCst);
            });
            let first = tenancy.handle(0);
            let second = tenancy.handle(1);
            let thread = thread::spawn(move || drop(first));
            drop(second);
            drop(tenancy);
            thread.join().unwrap();
            assert_eq!(told.load(Ordering::SeqCst), 1);
            assert_eq!(Arc::strong_count(&value), 1);
        });
    }

    #[test]
    fn a_reader_that_races_with_the_end_of_the_tenancy_is_told_of_nothing_too_early() {
        loom::model(|| {
            let value = Arc::new(7);
            let told = Arc::new(AtomicUsize::new(0));
            let (owned, tell) = (Arc::clone(&value), Arc::clone(&told));
            let id = ServableId::new("m", Version::new(1).unwrap());
            let tenancy = Arc::new(Tenancy::new(id, value, 2, move || {
                // Nobody but the owner refers to the value from here on.
                assert_eq!(Arc::strong_count(&owned), 1);
                tell.fetch_add(1, Ordering::SeqCst);
            }));
            // As a reader of a map does: it refers to the tenancy just long enough to take a handle.
            let found = Arc::clone(&tenancy);
            let reader = thread::spawn(move || {
                let handle = found.handle(1);
                drop(found);
                assert_eq!(*handle, 7);
            });
            drop(tenancy);
            reader.join().unwrap();
            assert_eq!(told.load(Ordering::SeqCst), 1);
        });
    }
}
