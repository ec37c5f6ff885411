//! What travels with a request, out of the tables.

use std::borrow::Cow;
use std::sync::atomic::AtomicU32;

use salver_core_platform::{Cancellation, OptionValue, Options, RunContext, TraceContext};
use salver_core_status::Status;
use salver_plugins_abi::{
    Malformed, PARAM_BOOL, PARAM_FLOAT, PARAM_INT, PARAM_TEXT, Param, RunRequest, Str, array, instant_at,
};

/// Whether a call is no longer wanted.
///
/// # Safety
/// `word` is null or points to a word that is readable during `'a`, and that the server writes with atomic stores.
pub(crate) unsafe fn cancellation<'a>(word: *const u32) -> Cancellation<'a> {
    if word.is_null() {
        return Cancellation::NEVER;
    }
    // SAFETY: readable by the caller's promise; it is only read here, as a `Cancellation` does.
    Cancellation::by_word(unsafe { AtomicU32::from_ptr(word.cast_mut()) })
}

/// The context of a call: what the tables have ready, and what had to be made of them.
pub(crate) struct Context<'a> {
    request: &'a RunRequest,
    request_id: &'a str,
    /// In place of that, where what the server gave is no text.
    mended_id: Option<String>,
    /// Not made where there are none, which is nearly always.
    parameters: Option<Options>,
}

impl<'a> Context<'a> {
    /// # Safety
    /// What `request` points to is valid during `'a`.
    ///
    /// # Errors
    /// INTERNAL where the server gave what cannot be.
    #[inline]
    pub(crate) unsafe fn new(request: &'a RunRequest) -> Result<Self, Status> {
        // Taken apart at once: a text that is copied as a whole just after it was written in parts stalls the processor for
        // longer than the rest of this takes.
        let (request_id, mended_id) = match request.request_id.size {
            0 => ("", None),
            // SAFETY: valid by the caller's promise.
            _ => match unsafe { request.request_id.to_text() } {
                Cow::Borrowed(text) => (text, None),
                Cow::Owned(text) => ("", Some(text)),
            },
        };
        let parameters = match request.param_count {
            0 => None,
            // SAFETY: as above.
            count => Some(unsafe { options(request.params, count) }?),
        };
        Ok(Self { request, request_id, mended_id, parameters })
    }

    #[inline]
    pub(crate) fn lend(&self) -> RunContext<'_> {
        let request = self.request;
        RunContext {
            deadline: instant_at(request.deadline_ns),
            // SAFETY: the word is valid during `'a`, by the promise given to `new`.
            cancel: unsafe { cancellation(request.cancelled) },
            trace: TraceContext {
                trace_id: request.trace_id,
                span_id: request.span_id,
                flags: request.trace_flags,
            },
            request_id: self.mended_id.as_deref().unwrap_or(self.request_id),
            parameters: self.parameters.as_ref().unwrap_or(Options::none()),
        }
    }
}

/// Settings out of their table form.
///
/// # Safety
/// `params` points to `count` parameters, which are valid during the call.
///
/// # Errors
/// INTERNAL where the server gave what cannot be.
pub(crate) unsafe fn options(params: *const Param, count: usize) -> Result<Options, Status> {
    // SAFETY: the caller's promise is this function's.
    let params = unsafe { array(params, count) }.map_err(malformed)?;
    let mut options = Options::new();
    for param in params {
        // SAFETY: the texts of a valid parameter are valid.
        let name = unsafe { text(param.name) }?;
        let value = match param.kind {
            PARAM_BOOL => OptionValue::Bool(param.integer != 0),
            PARAM_INT => OptionValue::Int(param.integer),
            PARAM_FLOAT => OptionValue::Float(param.number),
            // SAFETY: as above.
            PARAM_TEXT => OptionValue::Text(unsafe { text(param.text) }?),
            kind => {
                return Err(Status::internal(format!("parameter `{name}` is of the unknown kind {kind}")));
            }
        };
        options.set(name, value);
    }
    Ok(options)
}

unsafe fn text(text: Str) -> Result<String, Status> {
    // SAFETY: the caller's promise is this function's.
    let bytes = unsafe { text.bytes() }.map_err(malformed)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// What the server gave is no array.
pub(crate) fn malformed(_: Malformed) -> Status {
    Status::internal(
        "the server passed a null pointer, or one that is misaligned, for something that is there",
    )
}
