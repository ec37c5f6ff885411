//! What travels with a request beside its tensors.

use std::time::Instant;

use salver_core_cancel::{CancelFlag, Cancellation};
use salver_core_status::Status;

use crate::Options;

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

/// What travels with a request beside its tensors, owned by whoever received it.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
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

impl RequestContext {
    /// Lends the context to a model for one run.
    pub fn lend(&self) -> RunContext<'_> {
        RunContext {
            deadline: self.deadline,
            cancel: self.cancel.watch(),
            trace: self.trace,
            request_id: &self.request_id,
            parameters: &self.parameters,
        }
    }
}

/// What travels with a request beside its tensors, lent to a model for one run.
#[derive(Clone, Copy, Debug)]
pub struct RunContext<'a> {
    /// When the answer is of no more use; `None` where it always is.
    pub deadline: Option<Instant>,
    /// Set when nobody waits for the answer any more.
    pub cancel: Cancellation<'a>,
    /// Where the request belongs in a trace.
    pub trace: TraceContext,
    /// The caller's name for the request; may be empty.
    pub request_id: &'a str,
    /// Further parameters of the request, for the model to read or not.
    pub parameters: &'a Options,
}

impl RunContext<'_> {
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

/// No deadline, no cancellation, no trace, no name, no parameters.
impl Default for RunContext<'_> {
    fn default() -> Self {
        Self {
            deadline: None,
            cancel: Cancellation::NEVER,
            trace: TraceContext::default(),
            request_id: "",
            parameters: Options::none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_status::Code;

    #[test]
    fn work_that_is_given_up_or_late_is_not_worth_it() {
        let now = Instant::now();
        let mut context = RequestContext::default();
        assert_eq!(context.lend().check(now), Ok(()));
        context.deadline = Some(now);
        assert_eq!(context.lend().check(now).unwrap_err().code(), Code::DeadlineExceeded);
        context.cancel.cancel();
        assert_eq!(context.lend().check(now).unwrap_err().code(), Code::Cancelled);
    }
}
