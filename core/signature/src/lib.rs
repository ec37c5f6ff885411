//! What a model takes and returns, and the check of a request against it.
//!
//! A model has one or more [`Signature`]s, each with named inputs and outputs of declared element type and shape.
//! [`Signature::bind`] puts a request's tensors into the order of the signature's inputs; from there on inputs and
//! outputs are known by position, and nobody compares names again.
//!
//! ```
//! use salver_core_signature::{ShapeSpec, Signature, TensorSpec};
//! use salver_core_tensor::{DType, Shape, Tensor};
//!
//! let signature = Signature::predict(
//!     vec![TensorSpec::new("tokens", DType::I64, ShapeSpec::of(&[-1, 3]))],
//!     vec![TensorSpec::new("score", DType::F32, ShapeSpec::of(&[-1]))],
//! );
//! let tokens = Tensor::from_vec(Shape::new(&[2, 3])?, vec![1i64; 6])?;
//! let bound = signature.bind(vec![("tokens".to_owned(), tokens)])?;
//! assert!(bound[0].is_some());
//!
//! let error = signature.bind(Vec::new()).unwrap_err();
//! assert_eq!(error.to_string(), "expected 1 input but got 0: missing `tokens`");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bind;
mod error;
mod spec;

pub use error::Error;
pub use spec::{ShapeSpec, Signature, SignatureSet, TensorSpec};
