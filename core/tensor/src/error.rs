//! What can be wrong with a tensor.

use salver_core_status::{Code, ErrorCode};

use crate::{DType, Shape};

/// A tensor that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dimension below zero.
    #[error("dimension {axis} of the shape is {size}, wanted 0 or more")]
    NegativeDimension {
        /// Which dimension, from 0.
        axis: usize,
        /// What it was.
        size: i64,
    },
    /// More dimensions than [`Shape::MAX_RANK`].
    #[error("the shape has {rank} dimensions, at most {} are allowed", Shape::MAX_RANK)]
    Rank {
        /// How many there were.
        rank: usize,
    },
    /// A shape whose element count, or byte count, does not fit the address space.
    #[error("the shape has more elements than can be addressed")]
    TooLarge,
    /// Fewer or more bytes than the shape and element type need.
    #[error("{dtype} tensor of shape {shape} needs {wanted} bytes, got {found}")]
    ByteCount {
        /// The element type.
        dtype: DType,
        /// The shape.
        shape: Shape,
        /// How many bytes there should be.
        wanted: usize,
        /// How many there were.
        found: usize,
    },
    /// Fewer or more elements than the shape needs.
    #[error("tensor of shape {shape} needs {wanted} elements, got {found}")]
    ElementCount {
        /// The shape.
        shape: Shape,
        /// How many elements there should be.
        wanted: usize,
        /// How many there were.
        found: usize,
    },
    /// A BOOL element that is neither 0 nor 1.
    #[error("BOOL element {index} is {value}, wanted 0 or 1")]
    NotBool {
        /// Which element, in row-major order.
        index: usize,
        /// Its byte.
        value: u8,
    },
    /// Elements read as another type than they are.
    #[error("the tensor's elements are {found}, wanted {wanted}")]
    DType {
        /// The type asked for.
        wanted: DType,
        /// The type they are.
        found: DType,
    },
    /// Borrowed elements that are not aligned for their type.
    #[error("{dtype} elements are not aligned to {} bytes", dtype.alignment())]
    Misaligned {
        /// The element type.
        dtype: DType,
    },
    /// Strings in the length-prefixed form that end too early or late, or a span outside its buffer.
    #[error("string element {index} runs past the end of the data")]
    StringLength {
        /// Which element, in row-major order.
        index: usize,
    },
}

impl ErrorCode for Error {
    fn code(&self) -> Code {
        match self {
            Error::NegativeDimension { .. }
            | Error::Rank { .. }
            | Error::TooLarge
            | Error::ByteCount { .. }
            | Error::ElementCount { .. }
            | Error::NotBool { .. }
            | Error::DType { .. }
            | Error::StringLength { .. } => Code::InvalidArgument,
            Error::Misaligned { .. } => Code::Internal,
        }
    }
}

impl From<Error> for salver_core_status::Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}
