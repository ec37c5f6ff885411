//! Outputs of a step, kept until the plugin releases them.

use std::sync::Arc;

use salver_core_tensor::Tensor;
use salver_plugins_abi as abi;

use crate::inputs::Described;

/// Tensors, and their tables.
pub(super) struct Kept {
    // Points to where the tensors have their shapes and elements, none of which moves with this.
    described: Described,
    _tensors: Vec<Tensor>,
}

// SAFETY: what the tables point to is owned here, and is not written to.
unsafe impl Send for Kept {}
// SAFETY: as above.
unsafe impl Sync for Kept {}

impl Kept {
    /// Keeps `tensors`, and describes them. Not in a `Box`, which lays claim to what is in it when it is moved.
    pub(super) fn new(tensors: Vec<Tensor>) -> Arc<Self> {
        let mut described = Described::default();
        tensors.iter().for_each(|tensor| described.push(&tensor.view()));
        Arc::new(Self { described, _tensors: tensors })
    }

    /// The tensors in the form of the tables, valid until the last `Arc` is dropped.
    pub(super) fn tables(&self) -> &[abi::Tensor] {
        self.described.tensors()
    }
}
