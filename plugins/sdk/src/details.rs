//! What more there is to say of inputs and outputs, behind its table.

use std::ffi::c_void;

use salver_core_signature::TensorSpec;
use salver_plugins_abi as abi;

use crate::{guard, model};

/// The table of every plugin: of a tensor of which there is no more to say it says so there.
#[doc(hidden)]
pub const DETAILS_TABLE: abi::TensorDetailsV1 = abi::TensorDetailsV1 { tensor: Some(tensor) };

unsafe extern "C" fn tensor(
    _platform: usize,
    model: *mut c_void,
    signature: u32,
    kind: u32,
    position: u32,
    out: *mut abi::TensorDetail,
) -> u32 {
    let told = guard::catch(|| {
        // SAFETY: the server passes what was handed over and has not unloaded it.
        let signature = unsafe { model::signature(model, signature as usize) }?;
        let specs = match kind {
            abi::KIND_INPUT => &signature.inputs,
            abi::KIND_OUTPUT => &signature.outputs,
            _ => return None,
        };
        specs.get(position as usize).and_then(detail)
    });
    // A look at what is in memory does not panic; if it did, the tensor would be as the signature says.
    let Ok(Some(detail)) = told else {
        return abi::CANNOT_TELL;
    };
    // SAFETY: the server passes a place for the detail.
    unsafe { out.write(detail) };
    abi::OK
}

fn detail(spec: &TensorSpec) -> Option<abi::TensorDetail> {
    if spec.graph_name.is_none() && !spec.is_shape_advisory {
        return None;
    }
    // The text is the model's own signature's, which lives as long as the model does.
    let graph_name = abi::Str::new(spec.graph_name.as_deref().unwrap_or_default());
    Some(abi::TensorDetail {
        graph_name,
        flags: if spec.is_shape_advisory { abi::SHAPE_IS_ADVISORY } else { 0 },
    })
}
