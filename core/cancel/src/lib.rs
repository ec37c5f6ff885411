//! A flag that says that work is no longer wanted.
//!
//! Whoever gives up owns a [`CancelFlag`] and sets it; whoever works is lent a [`Cancellation`] and looks at it now
//! and then. Nothing is woken: work that waits has to look.
//!
//! ```
//! use salver_core_cancel::CancelFlag;
//!
//! let flag = CancelFlag::new();
//! let cancellation = flag.watch();
//! assert!(!cancellation.is_cancelled());
//! flag.cancel();
//! assert!(cancellation.is_cancelled());
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A flag that is set once, by whoever no longer wants the work. Clones share it.
///
/// It is a whole word, 0 or 1, so that a plugin in any language can read it through a pointer.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicU32>);

impl CancelFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag, for good.
    pub fn cancel(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.watch().is_cancelled()
    }

    /// Lends the flag to whoever works.
    pub fn watch(&self) -> Cancellation<'_> {
        Cancellation(Some(&self.0))
    }
}

/// A flag lent for the time of the work: it can be looked at, and not set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cancellation<'a>(Option<&'a AtomicU32>);

impl<'a> Cancellation<'a> {
    /// Of work that nobody gives up.
    pub const NEVER: Self = Self(None);

    /// By a word that somebody else turns from 0 to 1.
    pub const fn by_word(word: &'a AtomicU32) -> Self {
        Self(Some(word))
    }

    /// Whether the work is no longer wanted.
    pub fn is_cancelled(self) -> bool {
        self.0.is_some_and(|word| word.load(Ordering::Acquire) != 0)
    }

    /// The word, where there is one.
    pub const fn word(self) -> Option<&'a AtomicU32> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_flag_share_it() {
        let flag = CancelFlag::new();
        let clone = flag.clone();
        flag.cancel();
        assert!(clone.is_cancelled());
    }

    #[test]
    fn work_that_nobody_gives_up_is_never_cancelled() {
        assert!(!Cancellation::NEVER.is_cancelled());
    }
}
