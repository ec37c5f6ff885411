//! A model's signatures in the form of the tables.

use salver_core_signature::{Signature, SignatureSet, TensorSpec};
use salver_plugins_abi as abi;

use crate::outputs::Kept;

/// Signatures, and what their tables point to. Made once for a model.
pub(crate) struct Signatures {
    tables: Vec<abi::Signature>,
    // The tables point into all of these; none is touched until all are dropped.
    _specs: Vec<Vec<abi::TensorSpec>>,
    _defaults: Vec<Kept>,
    set: SignatureSet,
}

impl Signatures {
    pub(crate) fn new(set: SignatureSet) -> Self {
        let (mut specs, mut defaults) = (Vec::new(), Vec::new());
        let mut describe = |list: &[TensorSpec]| {
            let tables: Vec<_> = list.iter().map(|spec| describe(spec, &mut defaults)).collect();
            let place = (tables.as_ptr(), tables.len());
            specs.push(tables);
            place
        };
        let signature = |signature: &Signature| {
            let (inputs, input_count) = describe(&signature.inputs);
            let (outputs, output_count) = describe(&signature.outputs);
            let (name, method) = (abi::Str::new(&signature.name), abi::Str::new(&signature.method));
            abi::Signature { name, method, inputs, input_count, outputs, output_count }
        };
        let tables = set.iter().map(signature).collect();
        Self { tables, _specs: specs, _defaults: defaults, set }
    }

    pub(crate) fn get(&self, position: usize) -> Option<&Signature> {
        self.set.as_slice().get(position)
    }

    pub(crate) fn tables(&self) -> abi::Signatures {
        abi::Signatures { data: self.tables.as_ptr(), count: self.tables.len() }
    }
}

fn describe(spec: &TensorSpec, defaults: &mut Vec<Kept>) -> abi::TensorSpec {
    let default_value = match &spec.default {
        None => std::ptr::null(),
        Some(tensor) => {
            let kept = Kept::new(vec![tensor.clone()]);
            let table = kept.tables().as_ptr();
            defaults.push(kept);
            table
        }
    };
    let (rank, shape) = match spec.shape.dims() {
        // A rank beyond what can be said is beyond what a tensor can have: the server refuses it.
        Some(dims) => (i32::try_from(dims.len()).unwrap_or(i32::MAX), dims.as_ptr()),
        None => (abi::ANY_RANK, std::ptr::null()),
    };
    let flags = if spec.is_optional { abi::OPTIONAL } else { 0 };
    let (name, dtype) = (abi::Str::new(&spec.name), spec.dtype as u32);
    abi::TensorSpec { name, dtype, rank, shape, flags, default_value }
}
