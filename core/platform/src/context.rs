//! What travels with a request beside its tensors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use salver_core_status::Status;

use crate::Options;

/// A flag that whoever asked sets when it no longer waits for the answer. Clones share it.
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
        self.0.load(Ordering::Acquire) != 0
    }

    /// The word itself.
    pub fn word(&self) -> &AtomicU32 {
        &self.0
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
