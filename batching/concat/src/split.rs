//! From one tensor to many.

use salver_core_status::{Quoted, Status};
use salver_core_tensor::{Shape, Strings, Tensor};
use smallvec::SmallVec;

/// How many rows a tensor has: the size of dimension 0. `None` where it has no dimension.
pub fn rows(tensor: &Tensor) -> Option<usize> {
    tensor.shape().dims().first().and_then(|rows| usize::try_from(*rows).ok())
}

/// Splits `tensor` along dimension 0 into parts of these sizes; rows beyond them are padding and left out. Copies no
/// element.
///
/// # Errors
/// FAILED_PRECONDITION naming `name` where it has no dimension, or other than `rows` rows; INVALID_ARGUMENT where the
/// sizes add up to more.
pub fn split(name: &str, tensor: &Tensor, rows: usize, sizes: &[usize]) -> Result<Vec<Tensor>, Status> {
    let Some((_, inner)) = tensor.shape().dims().split_first() else {
        return Err(Status::failed_precondition(format!(
            "batched output tensor {} has no dimension, its 0th was wanted to be {rows}",
            Quoted(name)
        )));
    };
    if self::rows(tensor) != Some(rows) {
        return Err(Status::failed_precondition(format!(
            "batched output tensor {} has shape {}, its 0th dimension was wanted to be the {rows} rows of the batch",
            Quoted(name),
            tensor.shape()
        )));
    }
    let wanted = sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(*size));
    if wanted.is_none_or(|wanted| wanted > rows) {
        return Err(Status::invalid_argument(format!(
            "tensor {} of {rows} rows cannot be split into parts that have more",
            Quoted(name)
        )));
    }
    let mut parts = Vec::with_capacity(sizes.len());
    let mut at = 0;
    for &size in sizes {
        let dims: SmallVec<[i64; 4]> =
            [i64::try_from(size).unwrap_or(i64::MAX)].into_iter().chain(inner.iter().copied()).collect();
        let shape = Shape::new(&dims)?;
        let count = shape.element_count();
        parts.push(elements(tensor, at, shape)?);
        at += count;
    }
    Ok(parts)
}

/// The elements of `tensor` from the first, as many as `shape` has. The memory is shared.
pub(crate) fn first_elements(tensor: &Tensor, shape: Shape) -> Result<Tensor, Status> {
    elements(tensor, 0, shape)
}

/// The elements of `tensor` from that at `start`, as many as `shape` has. The memory is shared.
fn elements(tensor: &Tensor, start: usize, shape: Shape) -> Result<Tensor, Status> {
    let past_the_end = || Status::internal("a part of a tensor lies outside it");
    let end = start + shape.element_count();
    if let Some(bytes) = tensor.fixed() {
        let unit = tensor.dtype().size().unwrap_or(1);
        if end * unit > bytes.len() {
            return Err(past_the_end());
        }
        return Ok(Tensor::from_bytes(tensor.dtype(), shape, bytes.slice(start * unit..end * unit))?);
    }
    let strings = tensor.strings().ok_or_else(past_the_end)?;
    let spans = strings.spans().get(start..end).ok_or_else(past_the_end)?;
    Ok(Tensor::from_strings(shape, Strings::from_spans(strings.buffer().clone(), spans.to_vec())?)?)
}
