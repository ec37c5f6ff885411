//! What more a plugin says of inputs and outputs, checked.

use std::ffi::c_void;

use salver_core_signature::{Signature, SignatureSet, TensorSpec};
use salver_core_status::Quoted;
use salver_plugins_abi as abi;

use crate::signatures::text;

/// A [`abi::TensorDetailsV1`] whose function is there, and which of the plugin's platforms it is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Details {
    platform: usize,
    tensor: unsafe extern "C" fn(usize, *mut c_void, u32, u32, u32, *mut abi::TensorDetail) -> u32,
}

impl Details {
    /// The table for the platform at this position; `None` where it lacks its function.
    pub(crate) fn new(table: &abi::TensorDetailsV1, platform: usize) -> Option<Self> {
        Some(Self { platform, tensor: table.tensor? })
    }

    /// The signatures with all that the plugin says of their tensors.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    ///
    /// # Safety
    /// `model` was loaded by the platform, has these signatures, and is not unloaded during the call.
    pub(crate) unsafe fn add(
        &self,
        model: *mut c_void,
        signatures: &SignatureSet,
    ) -> Result<SignatureSet, String> {
        let mut detailed: Vec<Signature> = signatures.iter().cloned().collect();
        for (position, signature) in detailed.iter_mut().enumerate() {
            let name = Quoted(&signature.name);
            for (kind, what, specs) in [
                (abi::KIND_INPUT, "input", &mut signature.inputs),
                (abi::KIND_OUTPUT, "output", &mut signature.outputs),
            ] {
                // SAFETY: the caller's promise is this function's.
                unsafe { self.add_to(model, position, kind, specs) }.map_err(|(tensor, told)| {
                    format!("signature {name}: {what} {} {told}", Quoted(&tensor))
                })?;
            }
        }
        SignatureSet::new(detailed).map_err(|error| error.to_string())
    }

    /// # Errors
    /// The name of a tensor, and what is wrong with it.
    ///
    /// # Safety
    /// As [`add`](Self::add); the signature at this position has these tensors of this kind.
    unsafe fn add_to(
        &self,
        model: *mut c_void,
        signature: usize,
        kind: u32,
        specs: &mut [TensorSpec],
    ) -> Result<(), (String, String)> {
        for (position, spec) in specs.iter_mut().enumerate() {
            let mut detail = abi::TensorDetail { graph_name: abi::Str::new(""), flags: 0 };
            // Counts were checked to be far below these limits when the signatures were read.
            let (signature, position) = (signature as u32, position as u32);
            // SAFETY: the model is loaded, by the caller's promise, and `detail` is alive for the call.
            let code =
                unsafe { (self.tensor)(self.platform, model, signature, kind, position, &raw mut detail) };
            if code != abi::OK {
                continue;
            }
            let wrong = |told: String| (spec.name.clone(), told);
            if detail.flags & !abi::SHAPE_IS_ADVISORY != 0 {
                return Err(wrong(format!(
                    "has the unknown details {:#x}",
                    detail.flags & !abi::SHAPE_IS_ADVISORY
                )));
            }
            // SAFETY: a plugin promises that its texts are valid.
            let graph_name = unsafe { text(detail.graph_name, "its name in the graph") };
            let graph_name = graph_name.map_err(|told| wrong(format!("is not described: {told}")))?;
            spec.graph_name = Some(graph_name).filter(|name| !name.is_empty());
            spec.is_shape_advisory = detail.flags & abi::SHAPE_IS_ADVISORY != 0;
        }
        Ok(())
    }
}
