//! For an author's own tests: a platform used as the server uses it, without a server.

use std::path::Path;

use salver_core_platform::{Cancellation, LoadRequest, Model, Options, Platform, RunContext, RunRequest};
use salver_core_servable::{ServableId, Version};
use salver_core_status::Status;
use salver_core_tensor::Tensor;

/// Loads the model in `directory` with these options, under a name of its own.
///
/// # Errors
/// Those of [`Platform::load`].
pub fn load(platform: &dyn Platform, directory: &Path, options: &Options) -> Result<Box<dyn Model>, Status> {
    let version = Version::new(1).ok_or_else(|| Status::internal("there is no version 1"))?;
    let id = ServableId::new("test", version);
    let (cancel, batcher) = (Cancellation::NEVER, salver_core_platform::unbatched());
    platform.load(&LoadRequest { id: &id, directory, options, cancel, batcher })
}

/// Calls the default signature of `model` with `inputs` by name, checked as the server checks them, and returns all of its
/// outputs.
///
/// # Errors
/// Those of [`Signature::bind`](crate::Signature::bind) and of [`Model::run`].
pub fn run(model: &dyn Model, inputs: &[(&str, Tensor)]) -> Result<Vec<Tensor>, Status> {
    let found = model.signatures().get("");
    let (index, signature) = found.ok_or_else(|| Status::internal("there is no default signature"))?;
    let named = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone()));
    let bound = signature.bind(named.collect())?;
    let views: Vec<_> = bound.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
    let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
    let context = RunContext::default();
    model.run(&RunRequest { signature: index, inputs: &views, outputs: &outputs, context })
}
