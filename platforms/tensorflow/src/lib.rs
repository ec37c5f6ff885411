//! Serves TensorFlow SavedModels.
//!
//! TensorFlow's shared library is found and opened when the first model is loaded ([`LibrarySearch`] says where it is looked
//! for), once for the process; there is no Python in it. A model is a SavedModel of TensorFlow 1 or 2: `saved_model.pb` with
//! its `variables` and `assets`, in the version's directory or in `model.savedmodel` there. All of its signatures are served,
//! with their method names and defaults, but for those with inputs or outputs that are no dense tensors. Variables are
//! restored and tables initialised when it is loaded.
//!
//! # Options
//!
//! | option | kind | default | meaning |
//! |---|---|---|---|
//! | `library` | text | found | TensorFlow's shared library, `libtensorflow_cc.so.2` |
//! | `operator_libraries` | text | none | libraries of operators that the model calls, with commas between their paths |
//! | `tags` | text | `serve` | which of the SavedModel's graphs: its tags, with commas between |
//! | `device` | text | `cpu` | `cpu`, `cuda` or `cuda:N`; never falls back from one to the other |
//! | `intra_op_threads` | whole number | the budget | threads within an operator, for all models of the process |
//! | `inter_op_threads` | whole number | the budget | threads over operators; a model that sets it has a pool of its own |
//!
//! TensorFlow has one pool of threads within operators for the process: the first model that is loaded sets its size.
//!
//! # Memory
//!
//! Inputs are copied: a graph may keep what it is fed. Outputs are handed on where TensorFlow wrote them; strings are copied.
//! What a model takes is estimated from the size of its files.

mod dtype;
mod error;
mod library;
mod load;
mod meta;
mod model;
mod settings;

pub use library::LibrarySearch;

use std::path::Path;

use salver_core_platform::{LoadRequest, Model, Platform, Probe};
use salver_core_status::Status;

/// The TensorFlow platform.
///
/// However many there are, they share one TensorFlow: the first to load a model opens it.
#[derive(Clone, Debug)]
pub struct TensorFlow {
    search: LibrarySearch,
    cpu_threads: usize,
}

impl TensorFlow {
    /// A platform that finds TensorFlow as `search` says, and computes on so many threads at once, at least 1.
    ///
    /// Call it before there are many threads: it sets the environment variable `TF_CPP_MIN_LOG_LEVEL`, unless that is set.
    pub fn new(search: LibrarySearch, cpu_threads: usize) -> Self {
        salver_platforms_tensorflow_sys::TensorFlow::quiet();
        Self { search, cpu_threads: cpu_threads.max(1) }
    }
}

impl Platform for TensorFlow {
    fn name(&self) -> &str {
        "tensorflow"
    }

    fn probe(&self, directory: &Path) -> Probe {
        match Probe::by_file(directory, load::FILE) {
            Probe::NoMatch { .. } => Probe::by_file(directory, &format!("{}/{}", load::FOLDER, load::FILE)),
            found => found,
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        Ok(Box::new(load::load(&self.search, self.cpu_threads, request)?))
    }
}
