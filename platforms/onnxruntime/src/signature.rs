//! A session's inputs and outputs as a signature.

use std::ffi::CString;
use std::path::Path;

use ort::session::Session;
use salver_core_signature::{Signature, SignatureSet, TensorSpec};
use salver_core_status::{Quoted, Status};

use crate::ffi::{Declared, Place, SharedSession};
use crate::{Error, Said};

/// What a model takes and returns, and what ONNX Runtime calls it, in the same order.
pub(crate) struct Ports {
    pub(crate) signatures: SignatureSet,
    pub(crate) inputs: Vec<CString>,
    pub(crate) outputs: Vec<CString>,
}

/// Reads a session's ports: inputs that have an initialiser may be left out; outputs that are no tensors are.
///
/// # Errors
/// [`Error::Input`] for an input that is no tensor, [`Error::NoOutput`] where no output is one.
pub(crate) fn read(session: &Session, shared: &SharedSession, file: &Path) -> Result<Ports, Error> {
    let refused = |said: Said| Error::Load { file: file.to_owned(), said };
    let tensor = |name: &str, place: Place| -> Result<Result<TensorSpec, String>, Error> {
        Ok(match shared.declared(place).map_err(refused)? {
            Declared::Tensor { dtype: Some(dtype), shape, .. } => Ok(TensorSpec::new(name, dtype, shape)),
            Declared::Tensor { number, .. } => Err(format!("a tensor of ONNX's element type {number}")),
            Declared::Other(kind) => Err(kind.to_owned()),
        })
    };
    let input = |name: &str, place: Place| {
        tensor(name, place)?.map_err(|kind| Error::Input {
            file: file.to_owned(),
            input: name.to_owned(),
            kind,
        })
    };

    let mut inputs = Vec::new();
    for (index, outlet) in session.inputs().iter().enumerate() {
        inputs.push(input(outlet.name(), Place::Input(index))?);
    }
    for (index, initializer) in session.overridable_initializers().iter().enumerate() {
        inputs.push(input(initializer.name(), Place::Initializer(index))?.optional(None));
    }
    let mut outputs = Vec::new();
    for (index, outlet) in session.outputs().iter().enumerate() {
        match tensor(outlet.name(), Place::Output(index))? {
            Ok(spec) => outputs.push(spec),
            Err(kind) => {
                let (file, output) = (file.display(), Quoted(outlet.name()));
                tracing::warn!(%file, %output, "output is {kind}, which no answer can carry; it is left out");
            }
        }
    }
    if outputs.is_empty() {
        return Err(Error::NoOutput { file: file.to_owned(), count: session.outputs().len() });
    }
    let names = |specs: &[TensorSpec]| -> Result<Vec<CString>, Error> {
        let name = |spec: &TensorSpec| CString::new(spec.name.as_str());
        specs
            .iter()
            .map(name)
            .collect::<Result<_, _>>()
            .map_err(|error| Status::internal(error.to_string()).into())
    };
    let (input_names, output_names) = (names(&inputs)?, names(&outputs)?);
    let signatures = SignatureSet::new(vec![Signature::predict(inputs, outputs)]).map_err(Status::from)?;
    Ok(Ports { signatures, inputs: input_names, outputs: output_names })
}
