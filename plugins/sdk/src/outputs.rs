//! Output tensors, kept until the server releases them.

use std::ffi::c_void;

use salver_core_tensor::Tensor;
use salver_plugins_abi as abi;

/// What a tensor of the tables points to: the tensor, and of strings, where each element is.
pub(crate) struct Kept {
    // The tables point into both; neither is touched until all is dropped.
    tensors: Vec<abi::Tensor>,
    _strings: Vec<Vec<abi::Bytes>>,
    _owned: Vec<Tensor>,
}

impl Kept {
    /// Keeps `owned`, and describes it. Its tables stay valid when the value is moved, as all of it is on the heap.
    pub(crate) fn new(owned: Vec<Tensor>) -> Self {
        let mut strings = Vec::new();
        let tensors = owned.iter().map(|tensor| describe(tensor, &mut strings)).collect();
        Self { tensors, _strings: strings, _owned: owned }
    }

    /// The tensors in the form of the tables, valid until the value is dropped.
    pub(crate) fn tables(&self) -> &[abi::Tensor] {
        &self.tensors
    }

    /// Hands `owned` over, until [`Kept::release`]. None costs nothing.
    pub(crate) fn hand_over(owned: Vec<Tensor>) -> abi::Outputs {
        if owned.is_empty() {
            return abi::Outputs { tensors: std::ptr::null(), count: 0, owner: std::ptr::null_mut() };
        }
        let kept = Box::new(Self::new(owned));
        let (tensors, count) = (kept.tensors.as_ptr(), kept.tensors.len());
        abi::Outputs { tensors, count, owner: Box::into_raw(kept).cast() }
    }

    /// Frees what [`Kept::hand_over`] handed over.
    ///
    /// # Safety
    /// `owner` is null or the owner of outputs that were not yet released, and nobody reads them any more.
    pub(crate) unsafe fn release(owner: *mut c_void) {
        if !owner.is_null() {
            // SAFETY: by the caller's promise this is the box that `hand_over` made, for the first time.
            drop(unsafe { Box::from_raw(owner.cast::<Kept>()) });
        }
    }
}

/// A tensor in the form of the tables, which points into `tensor`, and of string elements into what is added to `strings`.
pub(crate) fn describe(tensor: &Tensor, strings: &mut Vec<Vec<abi::Bytes>>) -> abi::Tensor {
    let shape = tensor.shape().dims();
    let (data, size) = match (tensor.fixed(), tensor.strings()) {
        (Some(bytes), _) => (bytes.as_ptr().cast::<c_void>(), bytes.len()),
        (None, elements) => {
            let view = elements.map(|elements| elements.view());
            let elements: Vec<abi::Bytes> =
                view.iter().flat_map(|view| view.iter()).map(abi::Bytes::new).collect();
            let place = (elements.as_ptr().cast::<c_void>(), size_of_val(elements.as_slice()));
            strings.push(elements);
            place
        }
    };
    // At most 254 dimensions.
    let (dtype, rank, shape) = (tensor.dtype() as u32, shape.len() as u32, shape.as_ptr());
    abi::Tensor { dtype, rank, shape, data, size }
}
