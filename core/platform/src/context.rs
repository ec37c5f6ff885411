//! What travels with a request beside its tensors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use salver_core_status::Status;

use crate::Options;

/// A flag that whoever asked sets when it no longer waits for the answer. Clones share it.
#[derive(Debug)]
pub struct CancelFlag(Word);

/// Where the word, 0 or 1, is.
#[derive(Debug)]
enum Word {
    Shared(Arc<AtomicU32>),
    Foreign { words: &'static dyn ForeignWords, handle: usize },
}

/// Words that belong to somebody else: a plugin reads those of the server across the C boundary.
///
/// A flag made with [`CancelFlag::foreign`] retains its handle once for every clone of it, and releases it once for
/// every flag that is dropped.
pub trait ForeignWords: std::fmt::Debug + Send + Sync {
    /// Whether the word is set.
    fn is_set(&self, handle: usize) -> bool;
    /// Keeps the word readable until it is released once more.
    fn retain(&self, handle: usize);
    /// Undoes one `retain`, or gives up the handle that the first flag was made of.
    fn release(&self, handle: usize);
}

impl CancelFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self(Word::Shared(Arc::default()))
    }

    /// A flag whose word, 0 or 1, is shared with a flag of another kind.
    pub fn shared(word: Arc<AtomicU32>) -> Self {
        Self(Word::Shared(word))
    }

    /// A flag that only its owner, elsewhere, can set. Takes over one `retain` of `handle`.
    pub fn foreign(words: &'static dyn ForeignWords, handle: usize) -> Self {
        Self(Word::Foreign { words, handle })
    }

    /// Sets the flag, for good. A foreign flag stays as it is: only whoever asked can give up.
    pub fn cancel(&self) {
        if let Word::Shared(word) = &self.0 {
            word.store(1, Ordering::Release);
        }
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        match &self.0 {
            Word::Shared(word) => word.load(Ordering::Acquire) != 0,
            Word::Foreign { words, handle } => words.is_set(*handle),
        }
    }

    /// The word itself, 0 or 1, so that a plugin in any language can read it through a pointer; `None` for a foreign
    /// flag.
    pub fn word(&self) -> Option<&Arc<AtomicU32>> {
        match &self.0 {
            Word::Shared(word) => Some(word),
            Word::Foreign { .. } => None,
        }
    }
}

impl Default for CancelFlag {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for CancelFlag {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Word::Shared(word) => Word::Shared(Arc::clone(word)),
            Word::Foreign { words, handle } => {
                words.retain(*handle);
                Word::Foreign { words: *words, handle: *handle }
            }
        })
    }
}

impl Drop for CancelFlag {
    fn drop(&mut self) {
        if let Word::Foreign { words, handle } = &self.0 {
            words.release(*handle);
        }
    }
}

/// Where a request belongs in a distributed trace, as in W3C Trace Context; all zeros where it belongs to none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace.
    pub trace_id: [u8; 16],
    /// The caller's span.
    pub span_id: [u8; 8],
    /// Trace flags; bit 0 says that the trace is sampled.
    pub flags: u8,
}

/// What travels with a request beside its tensors.
#[derive(Clone, Debug, Default)]
pub struct RunContext {
    /// When the answer is of no more use; `None` where it always is.
    pub deadline: Option<Instant>,
    /// Set when nobody waits for the answer any more.
    pub cancel: CancelFlag,
    /// Where the request belongs in a trace.
    pub trace: TraceContext,
    /// The caller's name for the request; may be empty.
    pub request_id: String,
    /// Further parameters of the request, for the model to read or not.
    pub parameters: Options,
}

impl RunContext {
    /// Whether it is still worth working at `now`.
    ///
    /// # Errors
    /// CANCELLED or DEADLINE_EXCEEDED.
    pub fn check(&self, now: Instant) -> Result<(), Status> {
        if self.cancel.is_cancelled() {
            return Err(Status::cancelled("the caller gave up"));
        }
        match self.deadline {
            Some(deadline) if deadline <= now => {
                Err(Status::deadline_exceeded("the deadline passed before the model ran"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicIsize;

    #[derive(Debug)]
    struct Counted {
        retained: AtomicIsize,
        word: AtomicU32,
    }

    impl ForeignWords for Counted {
        fn is_set(&self, handle: usize) -> bool {
            handle == 7 && self.word.load(Ordering::Relaxed) != 0
        }
        fn retain(&self, _handle: usize) {
            self.retained.fetch_add(1, Ordering::Relaxed);
        }
        fn release(&self, _handle: usize) {
            self.retained.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn clones_of_a_flag_share_it() {
        let flag = CancelFlag::new();
        let clone = flag.clone();
        flag.cancel();
        assert!(clone.is_cancelled());
    }

    #[test]
    fn a_foreign_flag_is_read_where_it_is_and_released_as_often_as_it_was_retained() {
        static WORDS: Counted = Counted { retained: AtomicIsize::new(1), word: AtomicU32::new(0) };
        let flag = CancelFlag::foreign(&WORDS, 7);
        let clone = flag.clone();
        clone.cancel();
        assert!(!flag.is_cancelled(), "a foreign flag is not the model's to set");
        WORDS.word.store(1, Ordering::Relaxed);
        assert!(flag.is_cancelled() && clone.is_cancelled());
        drop((flag, clone));
        assert_eq!(WORDS.retained.load(Ordering::Relaxed), 0);
    }
}
