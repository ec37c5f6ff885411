//! Serves ONNX models through ONNX Runtime.
//!
//! ONNX Runtime's shared library is found and opened when the first model is loaded ([`LibrarySearch`] says where it is
//! looked for), once for the process. A model is `model.onnx` in the version's directory, or the only `*.onnx` file
//! there, or lies in a directory called `model.onnx` together with its weights. It has one signature, as ONNX does.
//!
//! Many threads run one session at once. Inputs are read where they lie; outputs are handed on where ONNX Runtime wrote
//! them. Only strings are copied, once each way.
//!
//! # Options
//!
//! | option | kind | default | meaning |
//! |---|---|---|---|
//! | `library` | text | found | ONNX Runtime's shared library |
//! | `operator_libraries` | text | none | libraries of operators that the model calls, with commas between their paths |
//! | `file` | text | found | the model's file, relative to the version's directory |
//! | `device` | text | `cpu` | `cpu`, `cuda` or `cuda:N`; never falls back from one to the other |
//! | `intra_op_threads` | whole number | shared | threads within an operator |
//! | `inter_op_threads` | whole number | shared | threads over operators, in parallel execution |
//! | `execution_mode` | text | `sequential` | `sequential` or `parallel`: one operator at a time, or several |
//! | `graph_optimization` | text | `all` | `disable`, `basic`, `extended` or `all` |
//! | `spinning` | bool | false | threads without work stay awake: quicker answers, a busy processor |
//! | `memory_arena` | bool | false | keep the memory of a run for the next one |
//! | `prepacking` | bool | true | lay weights out for speed at load; without it, weights in their own file stay there |
//! | `session_config.KEY` | any | | entry `KEY` of ONNX Runtime's session configuration |
//!
//! # Memory
//!
//! What a model takes is estimated from what its file declares of its weights. Once it is loaded ONNX Runtime does not
//! tell, and what the process takes cannot be divided among models that load at the same time: the estimate stands. There
//! is nothing to trim: ONNX Runtime keeps its memory in the C library's allocator, which is the whole process's.
//!
//! # Threads
//!
//! All models share one pool of as many threads as the processor budget allows. A model that sets its threads,
//! `spinning` or parallel execution has a pool of its own.

mod environment;
mod error;
mod estimate;
mod ffi;
mod files;
mod library;
mod load;
mod model;
mod settings;
mod signature;
mod threads;
mod weights;

pub use error::{Error, Said};
pub use library::LibrarySearch;

use std::num::NonZeroUsize;
use std::path::Path;

use crate::threads::Spawner;
use salver_core_platform::{LoadRequest, Model, Platform, Probe};
use salver_core_resource::Estimate;
use salver_core_status::{ErrorCode as _, Status};

/// The ONNX Runtime platform.
///
/// However many there are, they share one ONNX Runtime: the first to load a model opens it.
#[derive(Clone, Debug)]
pub struct OnnxRuntime {
    search: LibrarySearch,
    threads: NonZeroUsize,
    spawner: Spawner,
}

impl OnnxRuntime {
    /// A platform that finds ONNX Runtime as `search` says, and uses as many threads as the machine runs at once.
    ///
    /// Its threads have the priority of the thread that calls this, whichever loads. Call it before there are many: it
    /// sets the environment variable `ORT_DISABLE_TELEMETRY`, unless that is set, as ONNX Runtime's own builds would
    /// report to their makers otherwise.
    pub fn new(search: LibrarySearch) -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        environment::opt_out_of_telemetry();
        Self { search, threads, spawner: Spawner::start() }
    }

    /// The same with a processor budget: how many threads the shared pool has, at least 1.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        self
    }
}

impl Platform for OnnxRuntime {
    fn name(&self) -> &str {
        "onnxruntime"
    }

    fn probe(&self, directory: &Path) -> Probe {
        match files::find(directory) {
            Ok(file) => Probe::Match { file: file.to_string_lossy().into_owned() },
            Err(reason) => Probe::NoMatch { reason },
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        let model = load::load(&self.search, self.threads, &self.spawner, request)
            .map_err(|error| error.to_status())?;
        Ok(Box::new(model))
    }

    fn estimate(&self, request: &LoadRequest<'_>) -> Result<Option<Estimate>, Status> {
        estimate::estimate(self.threads, request).map_err(|error| error.to_status())
    }
}
