//! A loaded model.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::{ErrorSink, Param, Signatures, Str, Tensor};

/// What a model is given to compute. All of it is borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct RunRequest {
    /// Which of the model's signatures, by position; there is one at that position.
    pub signature: u32,
    /// The signature's inputs, in its order, of the declared element types. Only an optional one may be `ABSENT`.
    pub inputs: *const Tensor,
    /// As many as the signature has inputs.
    pub input_count: usize,
    /// Which of the signature's outputs to return, by position; there is one at each position.
    pub outputs: *const u32,
    /// How many outputs to return.
    pub output_count: usize,
    /// When the answer is of no more use, in nanoseconds of `CLOCK_MONOTONIC`; 0 where it always is.
    pub deadline_ns: u64,
    /// A word that turns from 0 to 1 when nobody waits for the answer any more: read it with an atomic load. Null
    /// where that cannot happen.
    pub cancelled: *const u32,
    /// The trace that the request belongs to, as in W3C Trace Context; zeros where it belongs to none.
    pub trace_id: [u8; 16],
    /// The caller's span in the trace.
    pub span_id: [u8; 8],
    /// Flags of the trace; bit 0 says that it is sampled.
    pub trace_flags: u8,
    /// The caller's name for the request; may be empty.
    pub request_id: Str,
    /// Further parameters of the request.
    pub params: *const Param,
    /// How many there are.
    pub param_count: usize,
}

/// What a model computed.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Outputs {
    /// The outputs asked for, in the order asked for. They, their shapes and their elements stay as they are until
    /// `owner` is released; where `owner` is null, as long as the model is loaded.
    pub tensors: *const Tensor,
    /// As many as were asked for.
    pub count: usize,
    /// What the plugin needs to free the outputs: given to [`ModelV1::release`] once. No two outputs that are not yet
    /// released may have the same owner. Null where there is nothing to free.
    pub owner: *mut c_void,
}

/// How a model is used. `model` is what [`PlatformV1::load`](crate::PlatformV1::load) made.
///
/// Every function must be there. `unload` is called once, after every other call has returned and every output is
/// released; the others may be called from many threads at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct ModelV1 {
    /// The ways to call the model. They belong to the model and stay as they are until it is unloaded.
    pub signatures: Option<unsafe extern "C" fn(model: *mut c_void) -> Signatures>,
    /// Computes outputs. On [`OK`](crate::OK), `out` is filled and belongs to the plugin until its owner is released;
    /// on anything else `out` is not looked at.
    pub run: Option<
        unsafe extern "C" fn(
            model: *mut c_void,
            request: *const RunRequest,
            out: *mut Outputs,
            error: *const ErrorSink,
        ) -> u32,
    >,
    /// Frees outputs. Called once for each `owner` that is not null, on any thread.
    pub release: Option<unsafe extern "C" fn(model: *mut c_void, owner: *mut c_void)>,
    /// Frees the model and all it holds. May block.
    pub unload: Option<unsafe extern "C" fn(model: *mut c_void)>,
}
