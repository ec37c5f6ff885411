//! Canonical status codes, and the errors that carry them.
//!
//! Every error in Salver ends as a [`Status`]: a [`Code`] that a client can act on and a message that a person
//! can. A crate with several failures has an error enum of its own and implements [`ErrorCode`] for it; the edge
//! turns that into a `Status` once. How codes become gRPC trailers or HTTP statuses is not known here.
//!
//! ```
//! use salver_core_status::{Code, Status};
//!
//! let status = Status::not_found("model `digits` has no version 9");
//! assert_eq!(status.code(), Code::NotFound);
//! assert_eq!(status.to_string(), "model `digits` has no version 9");
//! ```

mod code;
mod quote;

pub use code::Code;
pub use quote::Quoted;

use std::error::Error;
use std::fmt::Write as _;

/// A failure: what kind it is, and what happened, in a sentence for a person.
///
/// The message is lower case, has no final stop and names the value at fault. A `Status` is never a success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    code: Code,
    message: String,
}

impl Status {
    /// A failure of the given kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What kind of failure this is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same failure, with what was being done put before the message: `loading `m`: no such file`.
    #[must_use]
    pub fn context(mut self, doing: impl std::fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

/// One constructor per code, so that call sites read as sentences.
macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident,)*) => {
        impl Status {
            $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Self {
                Self::new(Code::$code, message)
            })*
        }
    };
}

constructors! {
    /// The caller gave up.
    cancelled => Cancelled,
    /// The request can never be right.
    invalid_argument => InvalidArgument,
    /// The time allowed has passed.
    deadline_exceeded => DeadlineExceeded,
    /// What was asked for is not there.
    not_found => NotFound,
    /// What was to be made is there already.
    already_exists => AlreadyExists,
    /// A limit of memory, queue or size is reached.
    resource_exhausted => ResourceExhausted,
    /// The system is not in the state that the request needs.
    failed_precondition => FailedPrecondition,
    /// Not implemented here.
    unimplemented => Unimplemented,
    /// Our fault, or the plugin's.
    internal => Internal,
    /// Not now; the same request may succeed later.
    unavailable => Unavailable,
    /// Stored data is damaged.
    data_loss => DataLoss,
}

/// An error that knows its canonical code.
///
/// Implementers match exhaustively, so that a new variant has to choose.
pub trait ErrorCode: Error {
    /// The canonical code of this failure.
    fn code(&self) -> Code;

    /// This failure and its causes as one line.
    fn to_status(&self) -> Status {
        let mut message = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            // Writing to a String does not fail.
            let _ = write!(message, ": {error}");
            cause = error.source();
        }
        Status::new(self.code(), message)
    }
}

impl ErrorCode for Status {
    fn code(&self) -> Code {
        self.code
    }

    fn to_status(&self) -> Status {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading `model.onnx`")]
    struct Reading(#[source] std::io::Error);

    impl ErrorCode for Reading {
        fn code(&self) -> Code {
            Code::NotFound
        }
    }

    #[test]
    fn a_status_made_from_an_error_names_its_causes() {
        let status = Reading(std::io::Error::other("disk on fire")).to_status();
        assert_eq!(status, Status::not_found("reading `model.onnx`: disk on fire"));
    }

    #[test]
    fn context_is_put_before_the_message_and_keeps_the_code() {
        let status = Status::data_loss("bad magic").context("loading `m`");
        assert_eq!((status.code(), status.message()), (Code::DataLoss, "loading `m`: bad magic"));
    }
}
