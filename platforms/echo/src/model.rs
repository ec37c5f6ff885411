//! A loaded echo model.

use std::path::Path;

use bytes::Bytes;
use salver_core_platform::{Model, RunRequest};
use salver_core_signature::{Signature, SignatureSet};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{Shape, Tensor, TensorView};

use crate::config::Config;
use crate::wait::Wait;

/// Returns copies of its inputs.
pub(crate) struct EchoModel {
    signatures: SignatureSet,
    /// What each signature does, in the order of the signatures.
    runs: Vec<Run>,
    version: i64,
}

struct Run {
    /// For each output the input it returns; `None` for the tag.
    sources: Vec<Option<usize>>,
    wait: Wait,
    failure: Option<Status>,
}

impl EchoModel {
    pub(crate) fn new(config: &Config, directory: &Path, version: i64) -> Result<Self, Status> {
        let mut signatures = Vec::new();
        let mut runs = Vec::new();
        for (name, signature) in &config.signatures {
            let declare = || -> Result<(Signature, Run), Status> {
                let (declared, sources) = signature.declare(name)?;
                let (wait, failure) = (signature.wait(directory), signature.failure()?);
                Ok((declared, Run { sources, wait, failure }))
            };
            let (declared, run) =
                declare().map_err(|status| status.context(format_args!("signature {}", Quoted(name))))?;
            signatures.push(declared);
            runs.push(run);
        }
        Ok(Self { signatures: SignatureSet::new(signatures)?, runs, version })
    }

    /// The version, once per row of the first input; once where that has no rows to count.
    fn tag(&self, request: &RunRequest<'_>) -> Result<Tensor, Status> {
        let first = request.inputs.first().copied().flatten();
        let rows = first.and_then(|input| input.shape().dims().first()).copied().unwrap_or(1);
        let shape = Shape::new(&[rows])?;
        let tags = vec![self.version; shape.element_count()];
        Ok(Tensor::from_vec(shape, tags)?)
    }
}

impl Model for EchoModel {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let signature =
            self.signatures.as_slice().get(request.signature).zip(self.runs.get(request.signature));
        let (signature, run) = signature
            .ok_or_else(|| Status::internal(format!("there is no signature {}", request.signature)))?;
        run.wait.for_run(&request.context)?;
        if let Some(failure) = &run.failure {
            return Err(failure.clone());
        }
        let output = |&output: &usize| match run.sources.get(output) {
            Some(Some(input)) => match request.inputs.get(*input).copied().flatten() {
                Some(view) => copy(view),
                None => {
                    let name = signature.inputs.get(*input).map_or("", |input| &input.name);
                    let what =
                        format!("input {} was left out, and there is nothing to return for it", Quoted(name));
                    Err(Status::invalid_argument(what))
                }
            },
            Some(None) => self.tag(request),
            None => Err(Status::internal(format!("there is no output {output}"))),
        };
        request.outputs.iter().map(output).collect()
    }
}

/// The same tensor in memory of its own.
fn copy(view: TensorView<'_>) -> Result<Tensor, Status> {
    let shape = view.shape().clone();
    Ok(match (view.bytes(), view.strings()) {
        (Some(bytes), _) => Tensor::from_bytes(view.dtype(), shape, Bytes::copy_from_slice(bytes)),
        (None, strings) => {
            Tensor::from_strings(shape, strings.iter().flat_map(|strings| strings.iter()).collect())
        }
    }?)
}
