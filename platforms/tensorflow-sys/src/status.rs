//! What TensorFlow says when it fails.

use std::ffi::CStr;
use std::fmt;

use crate::TensorFlow;
use crate::api::RawStatus;

/// A failure. The numbers of codes are those of gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The canonical code, 1 to 16.
    pub code: u32,
    /// What TensorFlow said.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// INVALID_ARGUMENT.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// INTERNAL.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { code: 13, message: message.into() }
    }
}

/// A `TF_Status`, which functions write into.
pub(crate) struct Status {
    api: &'static TensorFlow,
    pub(crate) raw: *mut RawStatus,
}

impl Status {
    pub(crate) fn new(api: &'static TensorFlow) -> Self {
        // SAFETY: the function takes nothing, and returns what is deleted below.
        let raw = unsafe { (api.functions.new_status)() };
        Self { api, raw }
    }

    /// What was written into it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let functions = &self.api.functions;
        // SAFETY: the status is alive.
        let code = unsafe { (functions.get_code)(self.raw) };
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the status is alive, and its message until it is written to again.
        let message = unsafe { CStr::from_ptr((functions.message)(self.raw)) };
        let message = message.to_string_lossy().into_owned();
        Err(Error { code: u32::try_from(code).unwrap_or(2), message })
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        // SAFETY: made by `new`, deleted once.
        unsafe { (self.api.functions.delete_status)(self.raw) }
    }
}
