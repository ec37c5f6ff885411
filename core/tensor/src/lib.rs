//! Dense, row-major tensors of every element type the protocols carry, owned and borrowed, with size arithmetic that cannot overflow.
//!
//! A [`Tensor`] owns its elements, or shares them with whoever does: cloning one copies no element. A [`TensorView`]
//! borrows them. Both are always *dense, row-major, little-endian, aligned for their element type and exactly as long
//! as their shape says*: the constructors check it, so nobody else has to.
//!
//! ```
//! use salver_core_tensor::{DType, Shape, Tensor};
//!
//! let tensor = Tensor::from_vec(Shape::new(&[2, 3])?, vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
//! assert_eq!(tensor.dtype(), DType::F32);
//! assert_eq!(tensor.view().as_slice::<f32>()?[5], 6.0);
//! # Ok::<(), salver_core_tensor::Error>(())
//! ```

#[cfg(target_endian = "big")]
compile_error!("tensors are little-endian on every wire Salver speaks, and in memory here");

mod dtype;
mod element;
mod error;
mod shape;
mod strings;
mod tensor;
mod view;

pub use dtype::DType;
pub use element::Element;
pub use error::Error;
pub use half::{bf16, f16};
pub use shape::Shape;
pub use strings::{Strings, StringsView};
pub use tensor::Tensor;
pub use view::TensorView;
