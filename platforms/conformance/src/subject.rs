//! A platform, and what the cases need to know of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_core_platform::{
    Cancellation, LoadRequest, Model, Options, Platform, RunContext, RunRequest, unbatched,
};
use salver_core_servable::{ServableId, Version};
use salver_core_signature::Signature;
use salver_core_status::{Code, Status};
use salver_core_tensor::{DType, Tensor};
use tempfile::TempDir;

use crate::Tolerance;
use crate::case::Fault;

/// Writes a model that returns its one input, of this element type and these sizes (-1 for any), into an empty folder, and
/// returns the options it is loaded with, over those of every load; `None` where the framework has no such model. Of
/// several signatures that one is called whose input has the type.
pub type Identity<'a> = &'a (dyn Fn(DType, &[i64], &Path) -> io::Result<Option<Options>> + Sync);

/// A platform, and what the cases need to know of it.
pub struct Subject<'a> {
    /// The platform.
    pub platform: Arc<dyn Platform>,
    /// Options of every load.
    pub options: Options,
    /// How many threads the platform was told to use.
    pub cpu_threads: usize,
    /// What writes models that return their input; without it, the cases that need them are skipped.
    pub identity: Option<Identity<'a>>,
    /// A version's directory: what cases load that need a model but not which one. Without it, `identity` makes one.
    pub model: Option<PathBuf>,
    /// Inputs that are given where `model` has inputs of these names, in place of made-up ones.
    pub inputs: Vec<(String, Tensor)>,
    /// How far apart two answers to the same inputs may be.
    pub tolerance: Tolerance,
    /// Cases that are not run, and why.
    pub ignored: &'a [(&'a str, &'a str)],
}

/// The directory of a model, which may be there for the case only, and the options of its loads.
pub(crate) struct Folder {
    path: PathBuf,
    options: Options,
    _made: Option<TempDir>,
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }
}

/// A case that needs a model, of a subject that has none.
fn no_model() -> Fault {
    Fault::Skipped("needs a model".to_owned())
}

impl Subject<'_> {
    /// A subject of which nothing is known but the platform.
    pub fn new(platform: Arc<dyn Platform>, cpu_threads: usize) -> Self {
        Self {
            platform,
            options: Options::new(),
            cpu_threads,
            identity: None,
            model: None,
            inputs: Vec::new(),
            tolerance: Tolerance::usual(),
            ignored: &[],
        }
    }

    /// Some model.
    pub(crate) fn some_model(&self) -> Result<Folder, Fault> {
        match (&self.model, self.identity) {
            (Some(path), _) => Ok(Folder { path: path.clone(), options: self.options.clone(), _made: None }),
            (None, Some(_)) => self.identity_of(DType::F32, &[-1])?.ok_or_else(no_model),
            (None, None) => Err(no_model()),
        }
    }

    /// A model that returns its input; `None` where the framework has none.
    pub(crate) fn identity_of(&self, dtype: DType, dims: &[i64]) -> Result<Option<Folder>, Fault> {
        let identity =
            self.identity.ok_or_else(|| Fault::Skipped("needs models that return their input".to_owned()))?;
        let folder = tempfile::tempdir()?;
        let options = identity(dtype, dims, folder.path())?;
        Ok(options.map(|options| Folder {
            path: folder.path().to_owned(),
            options: self.options.overlaid(&options),
            _made: Some(folder),
        }))
    }

    /// Loads what is in `directory` with the options of the model that it is made of.
    pub(crate) fn load_unchecked(
        &self,
        directory: &Path,
        options: &Options,
    ) -> Result<Box<dyn Model>, Status> {
        let Some(version) = Version::new(1) else {
            return Err(Status::internal("1 is no version"));
        };
        self.platform.load(&LoadRequest {
            id: &ServableId::new("conformance", version),
            directory,
            options,
            cancel: Cancellation::NEVER,
            batcher: unbatched(),
        })
    }

    /// Loads a model that is as it should be.
    pub(crate) fn load(&self, folder: &Folder) -> Result<Box<dyn Model>, Fault> {
        self.load_unchecked(folder.path(), &folder.options)
            .map_err(|status| Fault::Failed(format!("a good model does not load: {status}")))
    }
}

/// Runs a model on inputs in the signature's order.
pub(crate) fn run(
    model: &dyn Model,
    signature: usize,
    inputs: &[Option<Tensor>],
    outputs: &[usize],
    context: RunContext<'_>,
) -> Result<Vec<Tensor>, Status> {
    let inputs: Vec<_> = inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
    model.run(&RunRequest { signature, inputs: &inputs, outputs, context })
}

/// Runs a model for all outputs. That the inputs are refused is an answer; that the platform fails is not.
pub(crate) fn answer(
    model: &dyn Model,
    position: usize,
    signature: &Signature,
    inputs: &[Option<Tensor>],
) -> Result<Result<Vec<Tensor>, Status>, Fault> {
    let outputs: Vec<_> = (0..signature.outputs.len()).collect();
    match run(model, position, inputs, &outputs, RunContext::default()) {
        Err(status) if matches!(status.code(), Code::Internal | Code::Unknown) => {
            Err(Fault::Failed(format!("signature `{}` does not answer: {status}", signature.name)))
        }
        answer => Ok(answer),
    }
}
