//! The primitives the map is built of.
//!
//! When a model is checked they are loom's, and a lock around a pointer stands in for `arc-swap`: it swaps in one step
//! and orders memory at least as strongly as is relied on here, and no more is asked of either.

#[cfg(not(loom))]
mod chosen {
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use std::thread_local;

    pub(crate) use arc_swap::ArcSwap;
    /// From a name to something.
    pub(crate) use hashbrown::HashMap as Map;
    pub(crate) use parking_lot::Mutex;
}

#[cfg(loom)]
mod chosen {
    /// Ordered, since loom wants every execution of a model to do the same.
    pub(crate) use std::collections::BTreeMap as Map;
    use std::ops::Deref;

    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use loom::thread_local;

    /// What is used of `parking_lot::Mutex`.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// What is used of `arc_swap::ArcSwap`.
    pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

    /// Of a reader, who counts as a reference here.
    pub(crate) struct Guard<T>(Arc<T>);

    impl<T> ArcSwap<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            Self(Mutex::new(Arc::new(value)))
        }

        pub(crate) fn load(&self) -> Guard<T> {
            Guard(self.load_full())
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            Arc::clone(&self.0.lock())
        }

        pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
            std::mem::replace(&mut *self.0.lock(), value)
        }
    }

    impl<T> Deref for Guard<T> {
        type Target = Arc<T>;

        fn deref(&self) -> &Arc<T> {
            &self.0
        }
    }
}

pub(crate) use chosen::*;
