//! Asking for a servable.

use std::fmt;

use salver_core_status::{Code, ErrorCode, Quoted, Status};

use crate::{Handle, Version};

/// Which version of a stream is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionChoice<'a> {
    /// The numerically largest that is available.
    Latest,
    /// This one.
    Specific(Version),
    /// The one that carries this label.
    Label(&'a str),
}

/// Whoever turns a name and a choice of version into a handle.
pub trait Lookup<T: ?Sized>: Send + Sync {
    /// The handle of an available version. Wait-free: neither blocks nor allocates, from any thread.
    ///
    /// # Errors
    /// [`LookupError`]: nothing that fits is available.
    fn get(&self, name: &str, version: VersionChoice<'_>) -> Result<Handle<T>, LookupError>;
}

/// Nothing that fits the request is available. The texts are TensorFlow Serving's, or begin with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// No stream of this name, or none of its versions, is available.
    Name(String),
    /// This version of the stream is not available.
    Version(String, Version),
    /// The stream has no such label.
    Label(String),
    /// The stream has the label, but no version to go with it yet.
    Waiting {
        /// The stream.
        name: String,
        /// The label.
        label: String,
        /// The version that the label waits for.
        version: Version,
    },
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MISS: &str = "Servable not found for request";
        match self {
            LookupError::Name(name) => write!(f, "{MISS}: Latest({})", Bare(name)),
            LookupError::Version(name, version) => write!(f, "{MISS}: Specific({}, {version})", Bare(name)),
            LookupError::Label(label) => write!(f, "Unrecognized servable version label: {}", Bare(label)),
            LookupError::Waiting { name, label, version } => {
                let (name, label) = (Bare(name), Quoted(label));
                write!(f, "{MISS}: Specific({name}, {version}), for which label {label} waits")
            }
        }
    }
}

/// A quoted name without its quotes.
struct Bare<'a>(&'a str);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Quoted(self.0).to_string().trim_matches('`'))
    }
}

impl std::error::Error for LookupError {}

impl ErrorCode for LookupError {
    fn code(&self) -> Code {
        match self {
            LookupError::Name(_) | LookupError::Version(..) | LookupError::Waiting { .. } => Code::NotFound,
            LookupError::Label(_) => Code::InvalidArgument,
        }
    }
}

impl From<LookupError> for Status {
    fn from(error: LookupError) -> Self {
        error.to_status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_reads_as_in_tensorflow_serving() {
        let version = Version::new(9).unwrap();
        let status = LookupError::Version("m".into(), version).to_status();
        assert_eq!(status, Status::not_found("Servable not found for request: Specific(m, 9)"));
        let status = LookupError::Name("m".into()).to_status();
        assert_eq!(status, Status::not_found("Servable not found for request: Latest(m)"));
        let status = LookupError::Label("x".into()).to_status();
        assert_eq!(status, Status::invalid_argument("Unrecognized servable version label: x"));
        let waiting = LookupError::Waiting { name: "m".into(), label: "x".into(), version };
        let text = "Servable not found for request: Specific(m, 9), for which label `x` waits";
        assert_eq!(waiting.to_status(), Status::not_found(text));
    }
}
