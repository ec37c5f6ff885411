//! What travels with a request, out of the tables.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use salver_core_platform::{CancelFlag, ForeignWords, OptionValue, Options, RunContext, TraceContext};
use salver_core_status::Status;
use salver_plugins_abi::{
    CancelV1, Malformed, PARAM_BOOL, PARAM_FLOAT, PARAM_INT, PARAM_TEXT, Param, RunRequest, Str, array,
    instant_at,
};

use crate::host::host;

/// The server's cancellation words. A handle is the word's address, or 0 for one that is never set.
#[derive(Debug)]
struct ServerWords;

impl ServerWords {
    /// The host's functions, looked up once: a flag is cloned where it matters how long that takes.
    fn table() -> Option<&'static CancelV1> {
        static TABLE: OnceLock<Option<&'static CancelV1>> = OnceLock::new();
        // SAFETY: the tables of a host are never null and live as long as the process.
        *TABLE.get_or_init(|| host().tables().map(|host| unsafe { &*host.cancel }))
    }
}

fn word(handle: usize) -> *const u32 {
    std::ptr::with_exposed_provenance(handle)
}

// Handles are made by `Borrowed::new` alone, from pointers that the server gave; `CancelFlag` retains what it clones.
impl ForeignWords for ServerWords {
    fn is_set(&self, handle: usize) -> bool {
        if handle == 0 {
            return false;
        }
        // SAFETY: the word is readable during the call that gave it, and after it while it is retained; the server
        // writes it with atomic stores.
        unsafe { AtomicU32::from_ptr(word(handle).cast_mut()) }.load(Ordering::Acquire) != 0
    }

    fn retain(&self, handle: usize) {
        if let (Some(table), true) = (Self::table(), handle != 0) {
            // SAFETY: a flag that is being cloned has a readable word.
            unsafe { (table.retain)(word(handle)) }
        }
    }

    fn release(&self, handle: usize) {
        if let (Some(table), true) = (Self::table(), handle != 0) {
            // SAFETY: a flag that is dropped was retained, as `Borrowed` never drops its own.
            unsafe { (table.release)(word(handle)) }
        }
    }
}

/// A flag that borrows its word for a call: neither made nor dropped at any cost. Clones of it retain the word.
pub(crate) struct Borrowed(std::mem::ManuallyDrop<CancelFlag>);

impl Borrowed {
    /// # Safety
    /// `word` is null or points to a word that is readable as long as the value lives.
    pub(crate) unsafe fn new(word: *const u32) -> Self {
        Self(std::mem::ManuallyDrop::new(CancelFlag::foreign(&ServerWords, word.expose_provenance())))
    }

    pub(crate) fn flag(&self) -> &CancelFlag {
        &self.0
    }
}

/// The context of a call, its flag borrowed for it. Made where it stays.
pub(crate) struct Context(std::mem::ManuallyDrop<RunContext>);

impl Context {
    /// What costs nothing to have: [`Context::read`] adds the rest.
    ///
    /// # Safety
    /// `cancelled` is null or points to a word that is readable as long as the value lives.
    #[inline]
    pub(crate) unsafe fn new(request: &RunRequest) -> Self {
        Self(std::mem::ManuallyDrop::new(RunContext {
            deadline: instant_at(request.deadline_ns),
            cancel: CancelFlag::foreign(&ServerWords, request.cancelled.expose_provenance()),
            trace: TraceContext {
                trace_id: request.trace_id,
                span_id: request.span_id,
                flags: request.trace_flags,
            },
            request_id: String::new(),
            parameters: Options::new(),
        }))
    }

    /// # Safety
    /// What `request` points to is valid during the call.
    ///
    /// # Errors
    /// INTERNAL where the server gave what cannot be.
    #[inline]
    pub(crate) unsafe fn read(&mut self, request: &RunRequest) -> Result<(), Status> {
        if request.request_id.size != 0 {
            // SAFETY: valid by the caller's promise.
            self.0.request_id = unsafe { request.request_id.to_text() }.into_owned();
        }
        if request.param_count != 0 {
            // SAFETY: valid by the caller's promise.
            self.0.parameters = unsafe { options(request.params, request.param_count) }?;
        }
        Ok(())
    }

    pub(crate) fn get(&self) -> &RunContext {
        &self.0
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // All but the flag, whose word is only borrowed; and mostly there is nothing else.
        self.0.request_id = String::new();
        if self.0.parameters.iter().len() > 0 {
            self.0.parameters = Options::new();
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
