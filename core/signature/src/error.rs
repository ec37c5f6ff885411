//! What can be wrong with a request, seen from the signature.

use std::fmt;

use salver_core_status::{Code, ErrorCode, Quoted, Status};
use salver_core_tensor::{DType, Shape};

use crate::ShapeSpec;

/// A request, or a set of signatures, that cannot be right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model without any signature.
    #[error("the model has no signature")]
    NoSignature,
    /// The same name twice where names are unique.
    #[error("{kind} {} is there twice", Quoted(name))]
    Twice {
        /// `signature`, `input` or `output`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Inputs that the signature does not have, or that it needs and the request lacks.
    #[error("{0}")]
    Inputs(InputMismatch),
    /// An input of another element type than declared.
    #[error("input {} has data type {found}, the model expects {wanted}", Quoted(input))]
    DType {
        /// The input's name.
        input: String,
        /// The declared type.
        wanted: DType,
        /// The request's.
        found: DType,
    },
    /// An input of another shape than declared.
    #[error("input {} has shape {found}, the model expects {wanted}", Quoted(input))]
    Shape {
        /// The input's name.
        input: String,
        /// The declared shape.
        wanted: ShapeSpec,
        /// The request's.
        found: Shape,
    },
    /// An output that the signature does not have.
    #[error("output {} is not one of the model's: {}", Quoted(output), Names(known))]
    UnknownOutput {
        /// The name asked for.
        output: String,
        /// The names there are.
        known: Vec<String>,
    },
}

/// Which inputs are too many and which are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputMismatch {
    /// How many the signature has.
    pub wanted: usize,
    /// How many the request has.
    pub found: usize,
    /// Those the signature needs and the request lacks.
    pub missing: Vec<String>,
    /// Those the request has and the signature lacks.
    pub unexpected: Vec<String>,
}

impl fmt::Display for InputMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs = if self.wanted == 1 { "input" } else { "inputs" };
        write!(f, "expected {} {inputs} but got {}:", self.wanted, self.found)?;
        if !self.missing.is_empty() {
            write!(f, " missing {}", Names(&self.missing))?;
        }
        if !self.unexpected.is_empty() {
            let join = if self.missing.is_empty() { "" } else { "," };
            write!(f, "{join} unexpected {}", Names(&self.unexpected))?;
        }
        Ok(())
    }
}

/// A list of names, cut where it is long.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        for (index, name) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", Quoted(name))?;
        }
        if self.0.len() > SHOWN {
            write!(f, " and {} more", self.0.len() - SHOWN)?;
        }
        Ok(())
    }
}

impl ErrorCode for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoSignature => Code::FailedPrecondition,
            Error::Twice { .. }
            | Error::Inputs(_)
            | Error::DType { .. }
            | Error::Shape { .. }
            | Error::UnknownOutput { .. } => Code::InvalidArgument,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}
