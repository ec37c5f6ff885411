//! Joins tensors of many requests into one, pads them, and splits results again.
//!
//! Dimension 0 of a tensor counts its rows. Nothing is copied where one tensor stands alone, nor when results are split:
//! parts share the memory of the whole.

mod join;
mod pad;
mod split;

pub use join::{join, rejoin};
pub use pad::{PadValue, trim};
pub use split::{rows, split};
