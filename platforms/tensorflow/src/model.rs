//! A loaded SavedModel.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use salver_core_platform::{Model, RunContext, RunRequest};
use salver_core_signature::SignatureSet;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Shape, Strings, Tensor, TensorView};
use salver_platforms_tensorflow_sys as tf;

use crate::dtype;
use crate::error::status;
use crate::meta::RunOptions;

/// Where the tensors of a signature are in the graph, in the order of the signature's.
pub(crate) struct Ports {
    pub(crate) inputs: Vec<tf::Port>,
    pub(crate) outputs: Vec<tf::Port>,
}

/// A session with its signatures. Dropping it frees the session; outputs outlive it.
pub(crate) struct TensorFlowModel {
    api: &'static tf::TensorFlow,
    session: tf::Session,
    signatures: SignatureSet,
    /// By the position of the signature.
    ports: Vec<Ports>,
}

impl TensorFlowModel {
    pub(crate) fn new(
        api: &'static tf::TensorFlow,
        session: tf::Session,
        signatures: SignatureSet,
        ports: Vec<Ports>,
    ) -> Self {
        Self { api, session, signatures, ports }
    }

    fn compute(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let found = self.signatures.as_slice().get(request.signature).zip(self.ports.get(request.signature));
        let (signature, ports) =
            found.ok_or_else(|| Status::internal(format!("there is no signature {}", request.signature)))?;
        let mut inputs = Vec::with_capacity(ports.inputs.len());
        for ((spec, port), view) in signature.inputs.iter().zip(&ports.inputs).zip(request.inputs) {
            // One that may be left out has a default, which was put in its place.
            let missing = || Status::invalid_argument(format!("input {} is missing", Quoted(&spec.name)));
            let tensor = to_tensorflow(self.api, view.ok_or_else(missing)?)
                .map_err(|status| status.context(format_args!("input {}", Quoted(&spec.name))))?;
            inputs.push((*port, tensor));
        }
        let feeds: Vec<_> = inputs.iter().map(|(port, tensor)| (*port, tensor)).collect();
        let wanted = request.outputs.iter().map(|&output| {
            let port = ports.outputs.get(output).copied();
            port.ok_or_else(|| Status::internal(format!("there is no output {output}")))
        });
        let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
        let outputs = self.session.run(&options(&request.context), &feeds, &wanted);
        let outputs = outputs.map_err(|error| status(&error))?;
        outputs.into_iter().map(from_tensorflow).collect()
    }
}

/// TensorFlow gives up at the deadline.
fn options(context: &RunContext<'_>) -> Vec<u8> {
    let Some(deadline) = context.deadline else { return Vec::new() };
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    RunOptions { timeout_in_ms: i64::try_from(left.as_millis()).unwrap_or(i64::MAX) }.encode_to_vec()
}

fn to_tensorflow(api: &'static tf::TensorFlow, view: TensorView<'_>) -> Result<tf::Tensor, Status> {
    let dims = view.shape().dims();
    let made = match (dtype::number(view.dtype()), view.bytes(), view.strings()) {
        (Some(number), Some(bytes), _) => api.tensor(number, dims, bytes),
        (_, _, Some(strings)) => api.strings(dims, strings.iter()),
        _ => return Err(Status::invalid_argument(format!("TensorFlow has no {}", view.dtype()))),
    };
    made.map_err(|error| status(&error))
}

/// Keeps a tensor's memory.
struct Held(tf::Tensor);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// Takes a tensor over; copies strings only.
///
/// # Errors
/// UNIMPLEMENTED for an element type that no request can carry.
pub(crate) fn from_tensorflow(tensor: tf::Tensor) -> Result<Tensor, Status> {
    let element = dtype::from_number(tensor.dtype()).ok_or_else(|| {
        Status::unimplemented(format!("a tensor of TensorFlow's element type {}", tensor.dtype()))
    })?;
    let shape = Shape::new(&tensor.dims())?;
    if element == DType::String {
        let strings: Strings = tensor.strings().collect();
        return Ok(Tensor::from_strings(shape, strings)?);
    }
    Ok(Tensor::from_bytes(element, shape, Bytes::from_owner(Held(tensor)))?)
}

impl Model for TensorFlowModel {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        request.context.check(Instant::now())?;
        self.compute(request)
    }
}
