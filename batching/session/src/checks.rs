//! What is checked of a batch's tensors.

use salver_batching_concat as concat;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::Tensor;

/// Whether requests of so different lengths should meet: one long request must not make a batch of short ones as large
/// as many long ones. Where they should not, they are run by halves.
pub(crate) fn check_waste(name: &str, parts: &[Tensor], given: usize) -> Result<(), Status> {
    /// Below this many elements, waste is cheaper than another run.
    const SMALL: usize = 1 << 20;
    /// How much larger than what was given a batch may be.
    const MOST: usize = 8;
    let rank = parts.first().map_or(0, |part| part.shape().rank());
    let largest = |axis| parts.iter().filter_map(|part| part.shape().dims().get(axis)).max();
    let longest = (1..rank)
        .filter_map(largest)
        .try_fold(1usize, |product, dim| product.checked_mul(usize::try_from(*dim).ok()?));
    let rows: usize = parts.iter().filter_map(concat::rows).sum();
    let padded = longest.and_then(|longest| longest.checked_mul(rows)).unwrap_or(usize::MAX);
    if padded > SMALL && padded / MOST > given {
        return Err(Status::invalid_argument(format!(
            "input {}: padding would make {padded} elements of {given}",
            Quoted(name)
        )));
    }
    Ok(())
}

/// Whether an output has a row for each of the batch's.
pub(crate) fn check_rows(name: &str, output: &Tensor, wanted: usize) -> Result<(), Status> {
    match concat::rows(output) {
        Some(found) if found == wanted => Ok(()),
        _ => Err(Status::failed_precondition(format!(
            "output {} has shape {}, the batch has {wanted} rows",
            Quoted(name),
            output.shape()
        ))),
    }
}
