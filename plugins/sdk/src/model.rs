//! A [`Model`] behind its table.

use std::ffi::c_void;

use salver_core_platform::{Model, RunRequest};
use salver_core_resource::Allocation;
use salver_core_signature::Signature;
use salver_core_status::Status;
use salver_plugins_abi as abi;
use smallvec::SmallVec;

use crate::context::{Context, malformed};
use crate::guard;
use crate::inputs::{Parts, Views};
use crate::outputs::Kept;
use crate::signatures::Signatures;

/// What the `model` pointer of the table points to.
struct Loaded {
    model: Box<dyn Model>,
    signatures: Signatures,
}

static TABLE: abi::ModelV1 = abi::ModelV1 {
    signatures: Some(signatures),
    run: Some(run),
    release: Some(release),
    unload: Some(unload),
};

/// Hands a model over to the server, until `unload`.
pub(crate) fn hand_over(model: Box<dyn Model>) -> abi::LoadedModel {
    let signatures = Signatures::new(model.signatures().clone());
    let loaded = Box::new(Loaded { model, signatures });
    abi::LoadedModel { model: Box::into_raw(loaded).cast(), table: &raw const TABLE }
}

/// What the model takes.
///
/// # Safety
/// `model` is what [`hand_over`] made, and is not unloaded.
pub(crate) unsafe fn resources(model: *mut c_void) -> Option<Allocation> {
    // SAFETY: the caller's promise is this function's.
    unsafe { &*model.cast::<Loaded>() }.model.resources()
}

/// Its signature at this position.
///
/// # Safety
/// `model` is what [`hand_over`] made, and is not unloaded during `'a`.
pub(crate) unsafe fn signature<'a>(model: *mut c_void, position: usize) -> Option<&'a Signature> {
    // SAFETY: the caller's promise is this function's.
    unsafe { &*model.cast::<Loaded>() }.signatures.get(position)
}

unsafe extern "C" fn signatures(model: *mut c_void) -> abi::Signatures {
    // SAFETY: the server passes what `hand_over` made and has not unloaded it.
    unsafe { &*model.cast::<Loaded>() }.signatures.tables()
}

unsafe extern "C" fn run(
    model: *mut c_void,
    request: *const abi::RunRequest,
    out: *mut abi::Outputs,
    error: *const abi::ErrorSink,
) -> u32 {
    // SAFETY: as for `signatures`.
    let loaded = unsafe { &*model.cast::<Loaded>() };
    let body = || {
        // SAFETY: the server passes a request that is valid for the call.
        let outputs = unsafe { run_model(&*loaded.model, &*request) }?;
        // SAFETY: the server passes a place for the outputs.
        unsafe { out.write(Kept::hand_over(outputs)) };
        Ok(abi::OK)
    };
    // SAFETY: the server passes a sink for the call.
    unsafe { guard::report(error, body) }
}

/// # Safety
/// What `request` points to is valid during the call.
unsafe fn run_model(
    model: &dyn Model,
    request: &abi::RunRequest,
) -> Result<Vec<salver_core_tensor::Tensor>, Status> {
    let mut parts = Parts::default();
    // SAFETY: valid by the caller's promise.
    unsafe { parts.read(request.inputs, request.input_count) }?;
    let mut inputs = Views::new();
    parts.view(&mut inputs)?;
    let mut outputs = SmallVec::<[usize; 8]>::new();
    // SAFETY: as above.
    for position in unsafe { abi::array(request.outputs, request.output_count) }.map_err(malformed)? {
        outputs.push(*position as usize);
    }
    // SAFETY: as above.
    let context = unsafe { Context::new(request) }?;
    model.run(&RunRequest {
        signature: request.signature as usize,
        inputs: &inputs,
        outputs: &outputs,
        context: context.lend(),
    })
}

unsafe extern "C" fn release(_model: *mut c_void, owner: *mut c_void) {
    // SAFETY: the server passes each owner once, and reads the outputs no more.
    tell("releasing outputs", guard::catch(|| unsafe { Kept::release(owner) }));
}

unsafe extern "C" fn unload(model: *mut c_void) {
    // SAFETY: the server passes what `hand_over` made, once, and uses it no more.
    tell("unloading a model", guard::catch(|| drop(unsafe { Box::from_raw(model.cast::<Loaded>()) })));
}

/// Logs a panic where there is nobody to answer to.
fn tell(doing: &str, outcome: Result<(), String>) {
    if let Err(panic) = outcome {
        tracing::error!("{doing} panicked: {panic}");
    }
}
