//! The primitives that the pool is built of: loom's when a model is checked, parking_lot's and the standard library's
//! otherwise.

use std::sync::PoisonError;

#[cfg(not(loom))]
mod primitives {
    pub(crate) use std::sync::{Condvar, Mutex as Plain};
    pub(crate) use std::thread::{Builder, JoinHandle};

    pub(crate) use parking_lot::Mutex;

    use std::num::NonZeroU64;
    use std::sync::OnceLock;
    use std::thread::{Thread, current, park, park_timeout};
    use std::time::Duration;

    /// Where a thread sleeps. A call that comes before the sleep ends it at once, so none is lost.
    #[derive(Default)]
    pub(crate) struct Bed(OnceLock<Thread>);

    impl Bed {
        /// Says that it is the calling thread's; before anybody can know that this thread sleeps.
        pub(crate) fn claim(&self) {
            // By default the kernel lets a sleep end 50 us late, so that it can end several at once: as much as waking the
            // thread takes. It is no more than a wish.
            let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
            // A bed has one owner, which claims it once.
            let _ = self.0.set(current());
        }

        /// Sleeps until called, or for so long. May wake by chance.
        pub(crate) fn sleep(&self, limit: Option<Duration>) {
            match limit {
                Some(limit) => park_timeout(limit),
                None => park(),
            }
        }

        /// Wakes its owner. A thread that has not come to its bed yet looks around before it lies down.
        pub(crate) fn call(&self) {
            if let Some(thread) = self.0.get() {
                thread.unpark();
            }
        }
    }
}

#[cfg(loom)]
mod primitives {
    pub(crate) use loom::sync::{Condvar, Mutex as Plain, MutexGuard};
    pub(crate) use loom::thread::{Builder, JoinHandle};

    use std::sync::PoisonError;
    use std::time::Duration;

    /// As parking_lot's, which does not know of poison.
    pub(crate) struct Mutex<T>(Plain<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Plain::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// What the standard library promises of `park` and `unpark`; loom's own forget a call where the thread waits for a
    /// lock in between.
    pub(crate) struct Bed {
        is_called: Plain<bool>,
        called: Condvar,
    }

    impl Default for Bed {
        fn default() -> Self {
            Self { is_called: Plain::new(false), called: Condvar::new() }
        }
    }

    impl Bed {
        pub(crate) fn claim(&self) {}

        /// Time passes whenever it likes.
        pub(crate) fn sleep(&self, limit: Option<Duration>) {
            let mut is_called = self.is_called.lock().unwrap_or_else(PoisonError::into_inner);
            while !*is_called && limit.is_none() {
                is_called = self.called.wait(is_called).unwrap_or_else(PoisonError::into_inner);
            }
            *is_called = false;
        }

        pub(crate) fn call(&self) {
            *self.is_called.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.called.notify_one();
        }
    }
}

pub(crate) use primitives::{Bed, Builder, JoinHandle, Mutex};

/// Something that happens once, and can be waited for.
pub(crate) struct Event {
    is_set: primitives::Plain<bool>,
    changed: primitives::Condvar,
}

impl Default for Event {
    fn default() -> Self {
        Self { is_set: primitives::Plain::new(false), changed: primitives::Condvar::new() }
    }
}

impl Event {
    pub(crate) fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Blocks until it is set.
    pub(crate) fn wait(&self) {
        let mut is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_set {
            is_set = self.changed.wait(is_set).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
