//! Steps inside models that are run for many requests at once: a table that a server may offer, and a plugin lives without.
//!
//! Here the roles are turned: what a plugin is to the server elsewhere, the server is to the plugin. The plugin asks for runs, and
//! gives outputs back; the step itself is a model of the plugin's, which the server runs.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::{ErrorSink, LoadedModel, Outputs, Param, RunRequest, Str};

/// The name of [`BatchingV1`], for [`HostV1::table`](crate::HostV1::table).
pub const BATCHING_V1: &str = "salver.batching/1";

/// A step that is to have a queue. All of it is borrowed for the call, but for the step.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct StepV1 {
    /// The name of the model that the step is of, as [`LoadRequest::name`](crate::LoadRequest) says it.
    pub model: Str,
    /// The model's version.
    pub version: i64,
    /// What metrics and messages call the step; of 1 to 64 bytes.
    pub name: Str,
    /// What is run: as if [`PlatformV1::load`](crate::PlatformV1::load) had made it, with signatures whose inputs and
    /// outputs have a first dimension of any size, which counts rows. It belongs to the server from the call on, whether
    /// that succeeds or not: [`ModelV1::unload`](crate::ModelV1::unload) is called once, after the queue is closed, its
    /// runs have returned and their outputs are released, or before a call that fails returns. On any thread.
    pub step: LoadedModel,
    /// Settings of batching, such as `max_batch_size`.
    pub options: *const Param,
    /// How many there are.
    pub option_count: usize,
}

/// Queues in which a step of many requests is run at once. None of the functions is null, and each may be called from any
/// thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct BatchingV1 {
    /// Passed to the functions below.
    pub context: *const c_void,
    /// Opens a queue. On [`OK`](crate::OK), `queue` is its number, never 0, until it is closed; on anything else it is not
    /// written to. Called while a model is loaded, as a rule.
    pub open: unsafe extern "C" fn(
        context: *const c_void,
        step: *const StepV1,
        queue: *mut u64,
        error: *const ErrorSink,
    ) -> u32,
    /// Runs the step of a queue for the inputs of one request, with those of whoever else is there. Blocks until it is done,
    /// the deadline passes or the request is cancelled. `request` is as for [`ModelV1::run`](crate::ModelV1::run), of the
    /// step's signatures; it is borrowed for the call.
    ///
    /// On [`OK`](crate::OK), `out` is filled: the outputs asked for, with as many rows as the inputs have. They belong to the
    /// server, and stay as they are until the plugin gives their owner to `release`; where `owner` is null there is nothing
    /// to release. On anything else `out` is not written to. [`PANICKED`](crate::PANICKED): the step's code panicked, for
    /// this request or for one before; return it from the model's own `run`, so that the model is loaded anew.
    ///
    /// A step that calls this is not queued: the step it asks for is run at once, by itself, on the calling thread.
    pub run: unsafe extern "C" fn(
        context: *const c_void,
        queue: u64,
        request: *const RunRequest,
        out: *mut Outputs,
        error: *const ErrorSink,
    ) -> u32,
    /// Frees the outputs of a run. To be called once for each `owner` that is not null, on any thread, also after the queue
    /// is closed.
    pub release: unsafe extern "C" fn(context: *const c_void, owner: *mut c_void),
    /// Closes a queue: nothing is run in it from here on. To be called once, and not from within a step. Blocks until the
    /// runs that are under way have returned.
    pub close: unsafe extern "C" fn(context: *const c_void, queue: u64),
}

// SAFETY: the table is not written to once it is handed out, and its functions may be called from any thread.
unsafe impl Send for BatchingV1 {}
// SAFETY: as above.
unsafe impl Sync for BatchingV1 {}
