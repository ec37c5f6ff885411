//! The traits a platform implements: find a model in a directory, load it, run it.
//!
//! A [`Platform`] stands for one framework; it makes [`Model`]s. Both are called from many threads at once, on threads
//! that may block, never from an asynchronous task. Nothing here is asynchronous, and nothing knows how a request
//! arrived.
//!
//! ```
//! use salver_core_platform::{LoadRequest, Model, Platform, Probe, RunRequest};
//! use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
//! use salver_core_status::Status;
//! use salver_core_tensor::{DType, Tensor};
//!
//! struct Doubling;
//!
//! impl Platform for Doubling {
//!     fn name(&self) -> &str {
//!         "doubling"
//!     }
//!
//!     fn probe(&self, directory: &std::path::Path) -> Probe {
//!         Probe::by_file(directory, "double.txt")
//!     }
//!
//!     fn load(&self, _request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
//!         let tensor = |name| TensorSpec::new(name, DType::F32, ShapeSpec::any());
//!         let signature = Signature::predict(vec![tensor("x")], vec![tensor("y")]);
//!         Ok(Box::new(Twice(SignatureSet::new(vec![signature])?)))
//!     }
//! }
//!
//! struct Twice(SignatureSet);
//!
//! impl Model for Twice {
//!     fn signatures(&self) -> &SignatureSet {
//!         &self.0
//!     }
//!
//!     fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
//!         let x = request.input(0)?;
//!         let doubled = x.as_slice::<f32>()?.iter().map(|x| 2.0 * x).collect();
//!         Ok(vec![Tensor::from_vec(x.shape().clone(), doubled)?])
//!     }
//! }
//! ```

mod batcher;
mod context;
mod operators;
mod options;
mod run;

pub use batcher::{BatchQueue, Batcher, StepRequest, unbatched};
pub use context::{RequestContext, RunContext, TraceContext};
pub use operators::OperatorLibraries;
pub use options::{OptionValue, Options};
pub use run::RunRequest;
pub use salver_core_cancel::{CancelFlag, Cancellation};

use std::path::Path;
use std::sync::Arc;

use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::ServableId;
use salver_core_signature::SignatureSet;
use salver_core_status::Status;
use salver_core_tensor::Tensor;

/// A framework that can load models from directories.
///
/// Made once; lives as long as the process. Every method may be called from many threads at once.
pub trait Platform: Send + Sync + 'static {
    /// What configuration calls it: lower case, the same for every version of the framework.
    fn name(&self) -> &str;

    /// Whether the files in `directory`, one version of a model, look like this platform's.
    ///
    /// Looks at names, at most at the first bytes; does not load. The server asks every platform when nothing says
    /// which one a model is for.
    fn probe(&self, directory: &Path) -> Probe;

    /// Loads one version of a model. May take minutes.
    ///
    /// # Errors
    /// The status names the file at fault, and says what the framework said.
    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status>;

    /// An upper bound of what the version will take, without loading it; `None` where the platform cannot tell better
    /// than by the size of the files.
    ///
    /// Looks at files, for as long as that takes: not for a request's thread.
    ///
    /// # Errors
    /// Whatever prevents it; the load then fails with that status.
    fn estimate(&self, request: &LoadRequest<'_>) -> Result<Option<Estimate>, Status> {
        let _ = request;
        Ok(None)
    }

    /// Gives memory that is kept for later back to the operating system. Called after an unload, on a thread that may
    /// block.
    fn trim(&self) {}
}

/// A loaded version of a model. Dropping it frees everything it holds.
pub trait Model: Send + Sync + 'static {
    /// The ways to call it. The same from load to drop.
    fn signatures(&self) -> &SignatureSet;

    /// Computes the outputs asked for, in the order asked for.
    ///
    /// Called from many threads at once; a model that cannot do that takes turns by itself. The caller has checked
    /// the inputs against the signature: order, element types, shapes.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the inputs are at fault, CANCELLED or DEADLINE_EXCEEDED where the model gave up on
    /// [`RunContext`]'s word, INTERNAL where the framework failed.
    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status>;

    /// What it takes now that it is loaded, at most what was estimated; `None` where it cannot tell.
    fn resources(&self) -> Option<Allocation> {
        None
    }
}

/// Whether a platform recognises a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It does, by this file (relative to the directory).
    Match {
        /// The file.
        file: String,
    },
    /// It does not.
    NoMatch {
        /// What it looked for, such as ``no `*.onnx` file``.
        reason: String,
    },
}

impl Probe {
    /// Recognises a directory by a file of a fixed name.
    pub fn by_file(directory: &Path, file: &str) -> Self {
        if directory.join(file).is_file() {
            Probe::Match { file: file.to_owned() }
        } else {
            Probe::NoMatch { reason: format!("no file `{file}`") }
        }
    }
}

/// What a platform is given to load a model.
#[derive(Clone, Copy)]
pub struct LoadRequest<'a> {
    /// Which version of which model.
    pub id: &'a ServableId,
    /// Where its files are: the version's directory.
    pub directory: &'a Path,
    /// Settings for this platform, of the server and of the model, the model's winning.
    pub options: &'a Options,
    /// Set when the load is no longer wanted.
    pub cancel: Cancellation<'a>,
    /// What opens queues for steps inside the model; [`unbatched`] where nobody batches.
    pub batcher: &'a Arc<dyn Batcher>,
}

impl std::fmt::Debug for LoadRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadRequest")
            .field("id", self.id)
            .field("directory", &self.directory)
            .field("options", self.options)
            .finish_non_exhaustive()
    }
}
