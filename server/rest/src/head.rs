//! What a request's headers say beside its content: its deadline and its place in a trace.

use std::time::{Duration, Instant};

use http::HeaderMap;
use salver_core_platform::{RequestContext, TraceContext};
use salver_core_status::Status;
use salver_server_http::trace_context;
use salver_server_inference::PRIORITY;

/// The parts of a request that every call carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// When the answer is of no more use.
    pub(crate) deadline: Option<Instant>,
    trace: TraceContext,
}

/// Which requests it goes before.
///
/// # Errors
/// INVALID_ARGUMENT where the header is no whole number.
pub(crate) fn priority(headers: &HeaderMap) -> Result<Option<u32>, Status> {
    salver_server_inference::priority(headers.get(PRIORITY).map(|value| value.as_bytes()))
}

impl Head {
    /// Reads the headers of a request that may take `timeout` from `now`.
    pub(crate) fn read(headers: &HeaderMap, timeout: Option<Duration>, now: Instant) -> Self {
        // A deadline that no clock reaches is none.
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        Self { deadline, trace: trace_context(headers) }
    }

    /// The context of the request's run.
    pub(crate) fn context(&self) -> RequestContext {
        RequestContext { deadline: self.deadline, trace: self.trace, ..RequestContext::default() }
    }
}
