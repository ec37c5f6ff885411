//! A loaded model.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use salver_core_platform::{Model, RunRequest};
use salver_core_signature::{Signature, SignatureSet, TensorSpec};
use salver_core_status::{ErrorCode as _, Status};
use salver_core_tensor::Tensor;

use crate::Error;
use crate::ffi::SharedSession;
use crate::settings::Device;
use crate::signature::Ports;

/// A session with its signature. Dropping it frees the session, once the last output is gone.
pub(crate) struct OnnxModel {
    session: SharedSession,
    ports: Ports,
    /// Held for a run where the device does not allow several at once.
    turns: Option<Mutex<()>>,
}

impl OnnxModel {
    pub(crate) fn new(session: SharedSession, ports: Ports, device: Device) -> Self {
        let turns = match device {
            Device::Cpu => None,
            Device::Cuda(_) => Some(Mutex::new(())),
        };
        Self { session, ports, turns }
    }

    fn compute(&self, signature: &Signature, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Error> {
        let mut inputs = Vec::with_capacity(signature.inputs.len());
        for ((spec, name), tensor) in signature.inputs.iter().zip(&self.ports.inputs).zip(request.inputs) {
            // What is left out, the model has a default for.
            let Some(tensor) = tensor else { continue };
            let value = |said| Error::Value { input: spec.name.clone(), said };
            inputs.push((name.as_c_str(), self.session.input(*tensor).map_err(value)?));
        }
        let mut specs: Vec<&TensorSpec> = Vec::with_capacity(request.outputs.len());
        let mut names = Vec::with_capacity(request.outputs.len());
        for &output in request.outputs {
            let port = signature.outputs.get(output).zip(self.ports.outputs.get(output));
            let (spec, name) =
                port.ok_or_else(|| Status::internal(format!("there is no output {output}")))?;
            specs.push(spec);
            names.push(name.as_c_str());
        }
        let _turn = self.turns.as_ref().map(|turns| turns.lock().unwrap_or_else(PoisonError::into_inner));
        let outputs = self.session.run(&inputs, &names).map_err(Error::Run)?;
        let named = outputs.into_iter().zip(specs);
        named
            .map(|(output, spec)| output.map_err(|what| Error::Output { output: spec.name.clone(), what }))
            .collect()
    }
}

impl Model for OnnxModel {
    fn signatures(&self) -> &SignatureSet {
        &self.ports.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        request.context.check(Instant::now())?;
        let signature = self.ports.signatures.as_slice().get(request.signature);
        let signature = signature
            .ok_or_else(|| Status::internal(format!("there is no signature {}", request.signature)))?;
        self.compute(signature, request).map_err(|error| error.to_status())
    }
}
