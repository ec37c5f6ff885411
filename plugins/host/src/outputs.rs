//! Tensors that a plugin returns, checked, and released when the last of them is dropped.

use std::ffi::c_void;
use std::sync::Arc;

use bytes::Bytes;
use salver_core_signature::{Signature, TensorSpec};
use salver_core_tensor::{DType, Shape, Strings, Tensor};
use salver_plugins_abi as abi;

use crate::instance::Instance;

/// The longest string that is believed: protobuf cannot carry a longer one.
const STRING_LIMIT: usize = i32::MAX as usize;

/// Outputs that the plugin has handed out. Dropping it gives them back, once.
#[derive(Debug)]
pub(crate) struct HandedOut {
    /// Keeps the model loaded as long as its outputs are read.
    instance: Arc<Instance>,
    owner: *mut c_void,
}

// SAFETY: the contract allows outputs to be read and released on any thread.
unsafe impl Send for HandedOut {}
// SAFETY: as above; `&HandedOut` gives access to nothing that changes.
unsafe impl Sync for HandedOut {}

impl Drop for HandedOut {
    fn drop(&mut self) {
        self.instance.release(self.owner);
    }
}

/// Elements in the plugin's memory.
struct Region {
    data: *const u8,
    size: usize,
    _handed_out: Arc<HandedOut>,
}

// SAFETY: nobody writes to outputs before they are released, which is when the last `Region` is dropped.
unsafe impl Send for Region {}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `elements` checked pointer and size; the memory is the plugin's, valid until it is released.
        unsafe { std::slice::from_raw_parts(self.data, self.size) }
    }
}

/// Turns what `instance` returned into tensors.
///
/// # Errors
/// A sentence that says what is wrong. The outputs are released even so.
///
/// # Safety
/// `outputs` is what a successful run of `instance` returned, and `owner` was not seen before.
pub(crate) unsafe fn take(
    instance: &Arc<Instance>,
    outputs: abi::Outputs,
    signature: &Signature,
    asked: &[usize],
) -> Result<Vec<Tensor>, String> {
    if !instance.hand_out(outputs.owner) {
        // Whoever holds the first ones still reads them, and releases them: nothing here may.
        return Err("returned outputs whose owner it had handed out before and not had back".to_owned());
    }
    let handed_out = Arc::new(HandedOut { instance: Arc::clone(instance), owner: outputs.owner });
    if outputs.count != asked.len() {
        return Err(format!("returned {} outputs, {} were asked for", outputs.count, asked.len()));
    }
    // SAFETY: a plugin that returns a pointer that can be right promises that there are that many tensors.
    let tables = unsafe { abi::array(outputs.tensors, outputs.count) }
        .map_err(|_| "returned a null or misaligned list of outputs".to_owned())?;
    let mut tensors = Vec::with_capacity(tables.len());
    for (table, position) in tables.iter().zip(asked) {
        // `Described::fill` checked that there is an output at each position.
        let spec = signature.outputs.get(*position).ok_or("was asked for an output that it does not have")?;
        // SAFETY: a plugin promises that its tensors are valid until they are released.
        let tensor = unsafe { one(table, spec, &handed_out) };
        tensors.push(tensor.map_err(|what| format!("returned output `{}`, which {what}", spec.name))?);
    }
    Ok(tensors)
}

/// # Safety
/// As [`elements`].
unsafe fn one(table: &abi::Tensor, spec: &TensorSpec, handed_out: &Arc<HandedOut>) -> Result<Tensor, String> {
    // SAFETY: the caller's promise is this function's.
    let (dtype, shape, elements) = unsafe { elements(table) }?;
    if dtype != spec.dtype {
        return Err(format!("has data type {dtype}, declared is {}", spec.dtype));
    }
    if !spec.allows(&shape) {
        return Err(format!("has shape {shape}, declared is {}", spec.shape));
    }
    let tensor = match elements {
        Elements::Fixed([]) => Tensor::from_bytes(dtype, shape, Bytes::new()),
        Elements::Fixed(bytes) => {
            let region =
                Region { data: bytes.as_ptr(), size: bytes.len(), _handed_out: Arc::clone(handed_out) };
            Tensor::from_bytes(dtype, shape, Bytes::from_owner(region))
        }
        Elements::Strings(strings) => Tensor::from_strings(shape, strings),
    };
    tensor.map_err(|error| format!("is no tensor: {error}"))
}

/// A tensor of its own, with the elements of `table`.
///
/// # Errors
/// What is wrong, as the end of a sentence.
///
/// # Safety
/// As [`elements`].
pub(crate) unsafe fn copy(table: &abi::Tensor) -> Result<Tensor, String> {
    // SAFETY: the caller's promise is this function's.
    let (dtype, shape, elements) = unsafe { elements(table) }?;
    let tensor = match elements {
        Elements::Fixed(bytes) => Tensor::from_bytes(dtype, shape, Bytes::copy_from_slice(bytes)),
        Elements::Strings(strings) => Tensor::from_strings(shape, strings),
    };
    tensor.map_err(|error| format!("is no tensor: {error}"))
}

enum Elements<'a> {
    Fixed(&'a [u8]),
    /// Copied: where strings lie in the plugin's memory is not where `Strings` can say.
    Strings(Strings),
}

/// Reads a table, whatever it holds.
///
/// # Safety
/// What the table points to, where pointers and sizes can be right, is valid during `'a`.
unsafe fn elements<'a>(table: &abi::Tensor) -> Result<(DType, Shape, Elements<'a>), String> {
    let dtype = DType::from_u32(table.dtype)
        .ok_or_else(|| format!("has the unknown element type {}", table.dtype))?;
    let rank = table.rank as usize;
    if rank > Shape::MAX_RANK {
        return Err(format!("has {rank} dimensions, at most {} are allowed", Shape::MAX_RANK));
    }
    // SAFETY: the caller's promise is this function's, here and below.
    let dims = unsafe { abi::array(table.shape, rank) }.map_err(|_| "has a null or misaligned shape")?;
    let shape = Shape::new(dims).map_err(|error| format!("has no valid shape: {error}"))?;
    let wanted = match shape.byte_count(dtype) {
        Some(bytes) => bytes,
        // A shape leaves room for elements of 16 bytes, the size of a `Bytes`.
        None => shape.element_count() * size_of::<abi::Bytes>(),
    };
    if table.size != wanted {
        return Err(format!("has {} bytes, a {dtype} tensor of shape {shape} has {wanted}", table.size));
    }
    if dtype != DType::String {
        // SAFETY: as above.
        let bytes = unsafe { abi::array(table.data.cast::<u8>(), wanted) }.map_err(|_| "has no elements")?;
        return Ok((dtype, shape, Elements::Fixed(bytes)));
    }
    // SAFETY: as above.
    let elements = unsafe { abi::array(table.data.cast::<abi::Bytes>(), shape.element_count()) }
        .map_err(|_| "has a null or misaligned list of strings")?;
    let mut slices = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        if element.size > STRING_LIMIT {
            return Err(format!("has a string, element {index}, of {} bytes", element.size));
        }
        // SAFETY: as above.
        slices
            .push(unsafe { element.as_slice() }.map_err(|_| format!("has a null string, element {index}"))?);
    }
    Ok((dtype, shape, Elements::Strings(slices.into_iter().collect())))
}
