//! A [`Platform`] behind its table.

use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use salver_core_platform::{LoadRequest, Platform, Probe};
use salver_core_servable::{ServableId, Version};
use salver_core_status::Status;
use salver_plugins_abi as abi;

use crate::context::{cancellation, malformed, options};
use crate::{batching, guard, model};

/// What the `context` pointer of the table points to.
struct Context(Box<dyn Platform>);

/// The table of `platform`, which lives as long as the process and is called `name`.
pub(crate) fn table(name: &'static str, platform: Box<dyn Platform>) -> abi::PlatformV1 {
    // Leaked, as the library is never unmapped.
    let context: &'static Context = Box::leak(Box::new(Context(platform)));
    abi::PlatformV1 {
        context: std::ptr::from_ref(context).cast(),
        name: abi::Str::new(name),
        probe: Some(probe),
        load: Some(load),
    }
}

/// # Safety
/// `context` is that of a table that [`table`] made.
pub(crate) unsafe fn platform(context: *const c_void) -> &'static dyn Platform {
    // SAFETY: by the caller's promise this is the leaked context.
    &*unsafe { &*context.cast::<Context>() }.0
}

/// # Safety
/// The text is valid during `'a`.
unsafe fn path<'a>(text: abi::Str) -> Result<&'a Path, Status> {
    // SAFETY: the caller's promise is this function's.
    let bytes = unsafe { text.bytes() }.map_err(malformed)?;
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

unsafe extern "C" fn probe(context: *const c_void, directory: abi::Str, text: *const abi::TextSink) -> u32 {
    // SAFETY: the server passes the table's context, and a directory that is valid for the call.
    let probed =
        guard::catch(|| unsafe { path(directory).map(|directory| platform(context).probe(directory)) });
    let (matched, said) = match probed {
        Ok(Ok(Probe::Match { file })) => (1, file),
        Ok(Ok(Probe::NoMatch { reason })) => (0, reason),
        Ok(Err(status)) => (0, status.message().to_owned()),
        Err(panic) => (0, format!("panicked: {panic}")),
    };
    // SAFETY: the server passes a sink for the call; what is said outlives it.
    unsafe { ((*text).put)((*text).context, abi::Str::new(&said)) };
    matched
}

unsafe extern "C" fn load(
    context: *const c_void,
    request: *const abi::LoadRequest,
    out: *mut abi::LoadedModel,
    error: *const abi::ErrorSink,
) -> u32 {
    let body = || {
        // SAFETY: the server passes the table's context, and a request that is valid for the call.
        let model = unsafe { with_request(&*request, |request| platform(context).load(request)) }?;
        let loaded = model::hand_over(model);
        // SAFETY: the server passes a place for the model.
        unsafe { out.write(loaded) };
        Ok(abi::OK)
    };
    // SAFETY: the server passes a sink for the call.
    unsafe { guard::report(error, body) }
}

/// Does `body` with the request out of its table.
///
/// # Safety
/// What `request` points to is valid during the call.
///
/// # Errors
/// Those of `body`, and INTERNAL where the server gave what cannot be.
pub(crate) unsafe fn with_request<T>(
    request: &abi::LoadRequest,
    body: impl FnOnce(&LoadRequest<'_>) -> Result<T, Status>,
) -> Result<T, Status> {
    let version = Version::new(request.version)
        .ok_or_else(|| Status::internal(format!("the server passed the version {}", request.version)))?;
    // SAFETY: valid by the caller's promise.
    let (name, directory, options, cancel) = unsafe {
        (
            request.name.to_text(),
            path(request.directory)?,
            options(request.options, request.option_count)?,
            cancellation(request.cancelled),
        )
    };
    let id = ServableId::new(&*name, version);
    body(&LoadRequest { id: &id, directory, options: &options, cancel, batcher: batching::batcher() })
}
