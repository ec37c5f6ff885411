//! What the server says of a call that the plugin makes.

use std::ffi::c_void;

use salver_core_status::{Code, Status};
use salver_plugins_abi as abi;

/// Where the server says why it fails, for one call: `said` must not be used otherwise until that is over.
pub(crate) fn sink(said: &mut String) -> abi::ErrorSink {
    abi::ErrorSink { context: std::ptr::from_mut(said).cast(), fail }
}

/// How a call of the server's ended, of which it `said` why.
///
/// # Errors
/// What the server said, unless `code` is [`abi::OK`].
///
/// # Panics
/// Where a step panicked: whoever asked for it goes the same way, as if it had called the step itself.
pub(crate) fn check(code: u32, said: String) -> Result<(), Status> {
    match code {
        abi::OK => Ok(()),
        abi::PANICKED => std::panic::resume_unwind(Box::new(said)),
        code => Err(Status::new(Code::from_u32(code).unwrap_or(Code::Internal), said)),
    }
}

unsafe extern "C" fn fail(context: *mut c_void, code: u32, message: abi::Str) -> u32 {
    // SAFETY: the server passes the sink's context, during the call that was given the sink.
    let said = unsafe { &mut *context.cast::<String>() };
    // SAFETY: the server passes a text that is valid for the call.
    *said = unsafe { message.to_text() }.into_owned();
    code
}
