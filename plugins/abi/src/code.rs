//! How a call ended.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::Str;

/// It did what it should.
pub const OK: u32 = 0;
/// The caller gave up.
pub const CANCELLED: u32 = 1;
/// Nobody knows.
pub const UNKNOWN: u32 = 2;
/// The request can never be right.
pub const INVALID_ARGUMENT: u32 = 3;
/// The time allowed has passed.
pub const DEADLINE_EXCEEDED: u32 = 4;
/// What was asked for is not there.
pub const NOT_FOUND: u32 = 5;
/// What was to be made is there already.
pub const ALREADY_EXISTS: u32 = 6;
/// The caller may not do this.
pub const PERMISSION_DENIED: u32 = 7;
/// A limit of memory, queue or size is reached.
pub const RESOURCE_EXHAUSTED: u32 = 8;
/// The system is not in the state that the request needs.
pub const FAILED_PRECONDITION: u32 = 9;
/// The operation was given up because of a conflict.
pub const ABORTED: u32 = 10;
/// Past the valid range.
pub const OUT_OF_RANGE: u32 = 11;
/// Not implemented here.
pub const UNIMPLEMENTED: u32 = 12;
/// An invariant is broken: the plugin's fault.
pub const INTERNAL: u32 = 13;
/// Not now; the same request may succeed later.
pub const UNAVAILABLE: u32 = 14;
/// Stored data is damaged.
pub const DATA_LOSS: u32 = 15;
/// The caller did not say who it is.
pub const UNAUTHENTICATED: u32 = 16;
/// The plugin's code panicked or threw, and was caught at the boundary. The caller is told `INTERNAL`; a model that
/// says this is loaded anew.
pub const PANICKED: u32 = 100;
/// It has no answer, which is no failure: what it was asked for is done without.
pub const CANNOT_TELL: u32 = 101;

/// Where a function says why it fails.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct ErrorSink {
    /// Passed to `fail`.
    pub context: *mut c_void,
    /// Copies `message` and returns `code`, so that a function can end with
    /// `return error->fail(error->context, SALVER_INVALID_ARGUMENT, message);`. Only during the call that was given
    /// the sink, and only on its thread. At most 4096 bytes of the message are kept.
    pub fail: unsafe extern "C" fn(context: *mut c_void, code: u32, message: Str) -> u32,
}
