//! Serves TorchScript modules through libtorch.
//!
//! A model is `model.pt` in the version's directory, or the only `*.pt`, `*.pth` or `*.jit` file there. Its method
//! `forward` is its one signature.
//!
//! # Signature
//!
//! TorchScript says how many inputs there are, what they are called, and which of them are numbers; it does not say of
//! which element type and shape its tensors are. That is said in `model.toml`:
//!
//! ```toml
//! [signature]
//! inputs = [{ name = "x", dtype = "FP32", shape = [-1, 64] }]
//! outputs = [{ name = "probabilities" }]
//! ```
//!
//! Inputs are in the order of `forward`, and may have other names than there. `shape` may be left out where any is right,
//! and `dtype` of arguments that are numbers: `int` is INT64, `float` FP64, `bool` BOOL, each of rank 0. An argument with a
//! default may be left out of requests; `default` gives one to those that have none. Outputs may be left out: the module is
//! run once on zeros then, and what it returns shows how many there are, their types, and the keys of a dictionary.
//!
//! Outputs are a tensor, a tuple or list of tensors and numbers, or a dictionary of tensors by text.
//!
//! # Options
//!
//! | option | kind | default | meaning |
//! |---|---|---|---|
//! | `file` | text | found | the model's file, relative to the version's directory |
//! | `operator_libraries` | text | none | libraries of operators that the module calls, with commas between their paths |
//! | `device` | text | `cpu` | `cpu`, `cuda` or `cuda:N`; never falls back from one to the other |
//! | `intra_op_threads` | whole number | the budget | threads of a run that has the processors for itself, for all models of the process |
//! | `inter_op_threads` | whole number | libtorch's | threads over operators, for all models of the process |
//! | `profiling` | bool | false | let the first runs collect types and shapes, and compile for them |
//! | `signature` | text | | what `model.toml` says under `[signature]` |
//!
//! # Threads
//!
//! Under load every run computes alone, on the thread that wants it; as many go on at once as the processor budget has room
//! for, and others wait for their turn. A run that takes more than a millisecond alone is passed to a thread that computes
//! with `intra_op_threads`, itself included, when nothing else runs. libtorch has these numbers once for the process: the
//! first model that sets them decides, and one that wants others is refused.
//!
//! # Memory
//!
//! Inputs and outputs are copied: a module may keep what it is given, and may return what it keeps.

mod archive;
mod error;
mod files;
mod load;
mod model;
mod operators;
mod settings;
mod signature;
mod threads;
mod values;

use std::path::Path;

use salver_core_platform::{LoadRequest, Model, Platform, Probe};
use salver_core_resource::{Allocation, Estimate};
use salver_core_status::Status;

use crate::threads::Threads;

/// The libtorch platform.
#[derive(Debug)]
pub struct Libtorch {
    threads: Threads,
}

impl Libtorch {
    /// A platform that computes on so many threads at once, at least 1.
    pub fn new(cpu_threads: usize) -> Self {
        Self { threads: Threads::new(cpu_threads) }
    }
}

impl Platform for Libtorch {
    fn name(&self) -> &str {
        "libtorch"
    }

    fn probe(&self, directory: &Path) -> Probe {
        match files::find(directory) {
            Ok(file) => Probe::Match { file: file.to_string_lossy().into_owned() },
            Err(reason) => Probe::NoMatch { reason },
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        Ok(Box::new(load::load(&self.threads, request)?))
    }

    /// The size of the file: its tensors lie in it as they do in memory, and while it is read both are there.
    fn estimate(&self, request: &LoadRequest<'_>) -> Result<Option<Estimate>, Status> {
        let settings = settings::Settings::read(request.options)?;
        let file = files::of(request.directory, settings.file.as_deref())?;
        let bytes = std::fs::metadata(&file)
            .map_err(|error| Status::unavailable(format!("reading `{}`: {error}", file.display())))?
            .len();
        /// Graphs, code and what is allocated for a few runs.
        const MORE: u64 = 8 << 20;
        Ok(Some(Estimate::steady(Allocation::ram_bytes(bytes.saturating_add(MORE)))))
    }
}
