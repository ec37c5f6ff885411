//! The primitives that the pool is built of: loom's when a model is checked, parking_lot's and the standard library's
//! otherwise.

#[cfg(not(loom))]
mod primitives {
    pub(crate) use std::sync::{Condvar, Mutex as Plain};
    pub(crate) use std::thread::{Builder, JoinHandle, Thread, current, park, park_timeout};

    pub(crate) use parking_lot::Mutex;
}

#[cfg(loom)]
mod primitives {
    pub(crate) use loom::sync::{Condvar, Mutex as Plain, MutexGuard};
    pub(crate) use loom::thread::{Builder, JoinHandle, Thread, current, park};

    /// Time passes whenever it likes.
    pub(crate) fn park_timeout(_: std::time::Duration) {
        loom::thread::yield_now();
    }

    /// As parking_lot's, which does not know of poison.
    pub(crate) struct Mutex<T>(Plain<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Plain::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}

use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

pub(crate) use primitives::{Builder, JoinHandle, Mutex};
use primitives::{Condvar, Plain, Thread};

/// Something that happens once, and can be waited for.
pub(crate) struct Event {
    is_set: Plain<bool>,
    changed: Condvar,
}

impl Default for Event {
    fn default() -> Self {
        Self { is_set: Plain::new(false), changed: Condvar::new() }
    }
}

impl Event {
    pub(crate) fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(crate) fn wait(&self) {
        let mut is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_set {
            is_set = self.changed.wait(is_set).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Where a thread sleeps. A call that comes before the sleep ends it at once, so none is lost.
#[derive(Default)]
pub(crate) struct Bed(OnceLock<Thread>);

impl Bed {
    /// Says that it is the calling thread's; before anybody can know that this thread sleeps.
    pub(crate) fn claim(&self) {
        // A bed has one owner, which claims it once.
        let _ = self.0.set(primitives::current());
    }

    /// Sleeps until called, or for so long. May wake by chance.
    pub(crate) fn sleep(&self, limit: Option<Duration>) {
        match limit {
            Some(limit) => primitives::park_timeout(limit),
            None => primitives::park(),
        }
    }

    /// Wakes its owner. A thread that has not come to its bed yet looks around before it lies down.
    pub(crate) fn call(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}
