//! Operators of one's own, which a library registers as it is opened.

#![expect(unsafe_code, reason = "opening a library runs its code")]

use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use salver_core_status::Status;

/// Opens a library, which stays open. libtorch ends the process where another has registered the same operators.
///
/// # Errors
/// FAILED_PRECONDITION with what the dynamic linker says.
pub(crate) fn open(path: &Path) -> Result<(), Status> {
    // SAFETY: it is for whoever writes the model's settings to choose which code is run; a library of operators registers
    // them as it is opened, and needs nothing of us.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| {
        // The reason is in the source: the error itself says only which function failed.
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        Status::failed_precondition(reason.unwrap_or_else(|| error.to_string()))
    })?;
    // Its operators are called as long as the process runs.
    std::mem::forget(library);
    Ok(())
}
