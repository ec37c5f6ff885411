//! What can go wrong between here and ONNX Runtime.

use std::fmt;
use std::path::PathBuf;

use salver_core_status::{Code, ErrorCode, Quoted, Status};

/// What ONNX Runtime said, as one line of bounded length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    code: ort::ErrorCode,
    message: String,
}

impl Said {
    /// What kind of failure it was, by ONNX Runtime's account.
    pub fn code(&self) -> ort::ErrorCode {
        self.code
    }
}

impl<R> From<ort::Error<R>> for Said {
    fn from(error: ort::Error<R>) -> Self {
        /// Messages quote names from the model, which may be long; the beginning says what is wrong.
        const MOST_CHARACTERS: usize = 1000;
        let words: Vec<&str> = error.message().split_whitespace().collect();
        let mut message = words.join(" ");
        if let Some((end, _)) = message.char_indices().nth(MOST_CHARACTERS) {
            message.truncate(end);
            message.push_str("...");
        }
        Self { code: error.code(), message }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Said {}

/// A model that cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// ONNX Runtime's shared library is nowhere to be found.
    #[error("ONNX Runtime's shared library is not there; looked for {}", .searched.join(", "))]
    NoLibrary {
        /// Where it was looked for, each place with its reason.
        searched: Vec<String>,
    },
    /// The shared library does not open, or is not ONNX Runtime, or too old.
    #[error("opening ONNX Runtime {}: {said}", path(.library))]
    Library {
        /// The library.
        library: PathBuf,
        /// What is wrong with it.
        said: String,
    },
    /// Another library was asked for than is open.
    #[error("ONNX Runtime {} is open, and a process has only one: cannot open {}", path(.open), path(.wanted))]
    OtherLibrary {
        /// What is open.
        open: PathBuf,
        /// What was asked for.
        wanted: PathBuf,
    },
    /// There is no model in the directory, or more than one.
    #[error("directory {}: {reason}", path(.directory))]
    NoFile {
        /// The version's directory.
        directory: PathBuf,
        /// What is there, or is not.
        reason: String,
    },
    /// ONNX Runtime refused the model.
    #[error("loading {}", path(.file))]
    Load {
        /// The model's file.
        file: PathBuf,
        /// Why.
        #[source]
        said: Said,
    },
    /// An input that no request could give.
    #[error("loading {}: input {} is {kind}, which no request can carry", path(.file), Quoted(.input))]
    Input {
        /// The model's file.
        file: PathBuf,
        /// The input's name.
        input: String,
        /// What it is.
        kind: String,
    },
    /// None of the outputs is a tensor that an answer could carry.
    #[error("loading {}: none of the {count} outputs is a tensor that an answer can carry", path(.file))]
    NoOutput {
        /// The model's file.
        file: PathBuf,
        /// How many outputs the model has.
        count: usize,
    },
    /// ONNX Runtime refused an input's value.
    #[error("input {}", Quoted(.input))]
    Value {
        /// The input's name.
        input: String,
        /// Why.
        #[source]
        said: Said,
    },
    /// A run failed.
    #[error("run failed")]
    Run(#[source] Said),
    /// An output is not what ONNX Runtime declared.
    #[error("output {}: {what}", Quoted(.output))]
    Output {
        /// The output's name.
        output: String,
        /// What is wrong with it.
        what: String,
    },
    /// A setting that cannot be.
    #[error(transparent)]
    Setting(#[from] Status),
}

impl ErrorCode for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoLibrary { .. } | Error::Library { .. } | Error::OtherLibrary { .. } => {
                Code::FailedPrecondition
            }
            Error::NoFile { .. } => Code::NotFound,
            Error::Input { .. } | Error::NoOutput { .. } => Code::Unimplemented,
            Error::Load { said, .. } => match said.code() {
                ort::ErrorCode::NoSuchFile => Code::NotFound,
                ort::ErrorCode::InvalidProtobuf => Code::DataLoss,
                ort::ErrorCode::NotImplemented => Code::Unimplemented,
                ort::ErrorCode::ModelLoadCanceled => Code::Cancelled,
                // The model and this build of ONNX Runtime do not go together, whatever the code says.
                _ => Code::FailedPrecondition,
            },
            Error::Value { said, .. } | Error::Run(said) => match said.code() {
                ort::ErrorCode::InvalidArgument => Code::InvalidArgument,
                _ => Code::Internal,
            },
            Error::Output { .. } => Code::Internal,
            Error::Setting(status) => status.code(),
        }
    }
}

/// A path as it is shown in messages.
fn path(path: &std::path::Path) -> String {
    Quoted(&path.to_string_lossy()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_setting_keeps_its_code_and_is_told_once() {
        let error = Error::from(Status::invalid_argument("no"));
        assert_eq!(error.to_status(), Status::invalid_argument("no"));
    }
}
