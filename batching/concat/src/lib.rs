//! Joins tensors of many requests into one, pads them, and splits results again.
//!
//! Dimension 0 of a tensor counts its rows. Nothing is copied where one tensor stands alone, nor when results are split:
//! parts share the memory of the whole. What must be copied is copied once, in the longest runs that lie together.
//!
//! ```
//! use salver_batching_concat::{join, split};
//! use salver_core_tensor::{Shape, Tensor};
//!
//! let one = Tensor::from_vec(Shape::new(&[1, 2])?, vec![1i32, 2])?;
//! let two = Tensor::from_vec(Shape::new(&[2, 2])?, vec![3i32, 4, 5, 6])?;
//! let batch = join("x", &[&one, &two], 4, None)?;
//! assert_eq!(batch.view().as_slice::<i32>()?, [1, 2, 3, 4, 5, 6, 3, 4]);
//! assert_eq!(split("x", &batch, 4, &[1, 2])?, [one, two]);
//! # Ok::<(), salver_core_status::Status>(())
//! ```

mod copy;
mod float8;
mod join;
mod pad;
mod split;
#[cfg(test)]
mod tests;

pub use join::{join, joined_shape, rejoin};
pub use pad::{PadValue, trim};
pub use split::{rows, split};
