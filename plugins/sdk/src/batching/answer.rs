//! What the server answers: outputs in its memory, or why there are none.

use std::ffi::c_void;
use std::sync::Arc;

use bytes::Bytes;
use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, Strings, Tensor};
use salver_plugins_abi as abi;

use crate::context::malformed;

/// Outputs that the server has handed out. Dropping them gives them back, once.
struct HandedOut {
    table: &'static abi::BatchingV1,
    owner: *mut c_void,
}

// SAFETY: outputs may be read and released on any thread.
unsafe impl Send for HandedOut {}
// SAFETY: as above; `&HandedOut` gives access to nothing that changes.
unsafe impl Sync for HandedOut {}

impl Drop for HandedOut {
    fn drop(&mut self) {
        if !self.owner.is_null() {
            // SAFETY: the owner is that of outputs of this table, which nobody reads any more.
            unsafe { (self.table.release)(self.table.context, self.owner) }
        }
    }
}

/// Elements in the server's memory.
struct Region {
    elements: &'static [u8],
    _handed_out: Arc<HandedOut>,
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        self.elements
    }
}

/// The tensors that the server returned, in its memory.
///
/// # Errors
/// INTERNAL where the server gave what cannot be.
///
/// # Safety
/// `out` is what a successful run of `table` returned, and was not looked at before.
pub(super) unsafe fn outputs(
    table: &'static abi::BatchingV1,
    out: abi::Outputs,
) -> Result<Vec<Tensor>, Status> {
    let handed_out = Arc::new(HandedOut { table, owner: out.owner });
    // SAFETY: there are that many tensors until they are released, when the last of what holds `handed_out` is dropped.
    let tables: &'static [abi::Tensor] = unsafe { abi::array(out.tensors, out.count) }.map_err(malformed)?;
    let tensor = |table: &abi::Tensor| {
        // SAFETY: a tensor's shape has `rank` sizes.
        let shape = Shape::new(unsafe { abi::array(table.shape, table.rank as usize) }.map_err(malformed)?)?;
        let dtype = DType::from_u32(table.dtype).ok_or_else(|| {
            Status::internal(format!("the server returned the unknown type {}", table.dtype))
        })?;
        if dtype == DType::String {
            // SAFETY: a tensor of strings has that many elements.
            let strings = unsafe { strings(table) }?;
            return Ok(Tensor::from_strings(shape, strings)?);
        }
        // SAFETY: as for `tables`.
        let elements: &'static [u8] =
            unsafe { abi::array(table.data.cast(), table.size) }.map_err(malformed)?;
        let region = Region { elements, _handed_out: Arc::clone(&handed_out) };
        Ok(Tensor::from_bytes(dtype, shape, Bytes::from_owner(region))?)
    };
    tables.iter().map(tensor).collect()
}

/// # Safety
/// `table` is a valid tensor of strings.
unsafe fn strings(table: &abi::Tensor) -> Result<Strings, Status> {
    let count = table.size / size_of::<abi::Bytes>();
    // SAFETY: the caller's promise is this function's, here and below.
    let elements = unsafe { abi::array(table.data.cast::<abi::Bytes>(), count) }.map_err(malformed)?;
    // SAFETY: as above.
    let slices = elements.iter().map(|element| unsafe { element.as_slice() });
    let slices: Vec<&[u8]> = slices.collect::<Result<_, _>>().map_err(malformed)?;
    Ok(slices.into_iter().collect())
}
