//! The Open Inference Protocol's infer request, with the binary extension.
//!
//! The error texts are Triton's where it has one, since clients know them. Two of its codes are not: a negative
//! dimension and a wrong number of elements are INVALID_ARGUMENT here and INTERNAL there, though the caller made them.

use bytes::Bytes;
use jiter::Peek;
use salver_core_platform::Options;
use salver_core_signature::Signature;
use salver_core_status::Status;
use salver_core_tensor::{Shape, Strings, Tensor};

use crate::infer_input::{BinaryTail, read_input};
use crate::infer_parameters::{RequestParameters, read_output_parameters, read_request_parameters};
use crate::reader::Reader;

/// An infer request, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferRequest {
    /// The caller's name for the request, which the answer repeats.
    pub id: Option<String>,
    /// The request's parameters, but for those that say how the answer is to be written.
    pub parameters: Options,
    /// The inputs by name, in the order of the request.
    pub inputs: Vec<(String, Tensor)>,
    /// The outputs asked for; empty for all.
    pub outputs: Vec<RequestedOutput>,
    /// Whether outputs that are not asked for by name are answered in binary.
    pub is_binary_by_default: bool,
}

/// An output that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedOutput {
    /// Its name.
    pub name: String,
    /// Whether it is answered in binary.
    pub is_binary: bool,
}

/// A key of the request.
#[derive(Clone, Copy)]
enum Key {
    Id,
    Parameters,
    Inputs,
    Outputs,
    Other,
}

/// A key of an output asked for.
#[derive(Clone, Copy)]
enum OutputKey {
    Name,
    Parameters,
    Other,
}

impl InferRequest {
    /// Reads the request for `model` whose first `json_length` bytes are JSON; the rest are the binary inputs, in
    /// order. Binary inputs share the memory of `body` where they are aligned.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the request is not one, or its tensors are not as their shapes say. UNIMPLEMENTED for
    /// shared memory and classification.
    pub fn read(body: &Bytes, json_length: usize, model: &str) -> Result<Self, Status> {
        let Some(json) = body.get(..json_length) else {
            let message = format!("the request has {} bytes, wanted {json_length} of JSON", body.len());
            return Err(Status::invalid_argument(message));
        };
        let mut tail = BinaryTail::new(body.slice(json_length..), model);
        let request = read_request(Reader::new(json), &mut tail)?;
        tail.end()?;
        Ok(request)
    }

    /// Makes a request of a `body` that is the single input of `signature`, and nothing but its elements. All outputs
    /// are answered in binary.
    ///
    /// Where the shape leaves one dimension open, the length of the body decides it; where it leaves two open, the
    /// first is 1, as for one request of a batch. A string is the body as a whole, of shape `[1]`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the signature has several inputs, leaves more open, or does not fit the body.
    pub fn raw(body: Bytes, signature: &Signature, model: &str) -> Result<Self, Status> {
        let [spec] = signature.inputs.as_slice() else {
            let found = signature.inputs.len();
            return Err(Status::invalid_argument(format!(
                "Raw request must only have 1 input (found {found}) to be deduced but got {found} inputs in '{model}' \
                 model configuration"
            )));
        };
        let tensor = match spec.dtype.size() {
            None => Tensor::from_strings(Shape::new(&[1])?, Strings::one(body))?,
            Some(size) => {
                let shape = deduce_shape(spec.shape.dims(), body.len() / size, model)?;
                Tensor::from_bytes(spec.dtype, shape, body)?
            }
        };
        let inputs = vec![(spec.name.clone(), tensor)];
        Ok(Self { inputs, is_binary_by_default: true, ..Self::default() })
    }

    /// Whether the output called `name` is answered in binary.
    pub fn is_binary(&self, name: &str) -> bool {
        let requested = self.outputs.iter().find(|output| output.name == name);
        requested.map_or(self.is_binary_by_default, |output| output.is_binary)
    }
}

fn read_request(mut reader: Reader<'_>, tail: &mut BinaryTail<'_>) -> Result<InferRequest, Status> {
    let classify = |key: &str| match key {
        "id" => Key::Id,
        "parameters" => Key::Parameters,
        "inputs" => Key::Inputs,
        "outputs" => Key::Outputs,
        _ => Key::Other,
    };
    let invalid = |status: Status| status.context("failed to parse the request JSON buffer");
    let mut request = InferRequest::default();
    let mut has_inputs = false;
    let peek = reader.peek().map_err(invalid)?;
    let mut next = reader.enter_object(peek, classify).map_err(invalid)?;
    while let Some(key) = next {
        let peek = reader.peek().map_err(invalid)?;
        match key {
            Key::Id => {
                let id = reader.string(peek, str::to_owned);
                request.id = Some(id.map_err(|status| status.context("Unable to parse 'id'"))?);
            }
            Key::Parameters => {
                let RequestParameters { options, is_binary_by_default } =
                    read_request_parameters(&mut reader, peek)?;
                request.parameters = options;
                request.is_binary_by_default = is_binary_by_default;
            }
            Key::Inputs if has_inputs => {
                return Err(Status::invalid_argument("Unable to parse 'inputs': the key is there twice"));
            }
            Key::Inputs => {
                has_inputs = true;
                let first = reader.enter_list(peek);
                let mut item = first.map_err(|status| status.context("Unable to parse 'inputs'"))?;
                while let Some(peek) = item {
                    request.inputs.push(read_input(&mut reader, peek, tail)?);
                    item = reader.next_item().map_err(invalid)?;
                }
            }
            Key::Outputs => {
                let first = reader.enter_list(peek);
                let mut item = first.map_err(|status| status.context("Unable to parse 'outputs'"))?;
                while let Some(peek) = item {
                    request.outputs.push(read_output(&mut reader, peek)?);
                    item = reader.next_item().map_err(invalid)?;
                }
            }
            Key::Other => reader.skip(peek).map_err(invalid)?,
        }
        next = reader.next_key(classify).map_err(invalid)?;
    }
    reader.end().map_err(invalid)?;
    if !has_inputs {
        return Err(Status::invalid_argument(
            "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'",
        ));
    }
    Ok(request)
}

fn read_output(reader: &mut Reader<'_>, peek: Peek) -> Result<RequestedOutput, Status> {
    let at = reader.position();
    let invalid = |status: Status| status.context("Unable to parse 'outputs'");
    let classify = |key: &str| match key {
        "name" => OutputKey::Name,
        "parameters" => OutputKey::Parameters,
        _ => OutputKey::Other,
    };
    let mut name = None;
    let mut is_binary = false;
    let mut next = reader.enter_object(peek, classify).map_err(invalid)?;
    while let Some(key) = next {
        let peek = reader.peek().map_err(invalid)?;
        match key {
            OutputKey::Name => name = Some(reader.string(peek, str::to_owned).map_err(invalid)?),
            OutputKey::Parameters => is_binary = read_output_parameters(reader, peek)?,
            OutputKey::Other => reader.skip(peek).map_err(invalid)?,
        }
        next = reader.next_key(classify).map_err(invalid)?;
    }
    match name {
        Some(name) => Ok(RequestedOutput { name, is_binary }),
        None => Err(Status::invalid_argument(format!(
            "Unable to parse 'outputs': the object at byte {at} has no 'name'"
        ))),
    }
}

/// The shape of `elements` elements that `dims` allows, -1 being open.
fn deduce_shape(dims: Option<&[i64]>, elements: usize, model: &str) -> Result<Shape, Status> {
    // An allocation's length fits.
    let elements = i64::try_from(elements).unwrap_or(i64::MAX);
    let mut dims = dims.unwrap_or(&[-1]).to_vec();
    let is_open = |dim: &i64| *dim < 0;
    if dims.iter().copied().filter(is_open).count() > 1
        && let Some(batch) = dims.first_mut().filter(|dim| is_open(dim))
    {
        *batch = 1;
    }
    if dims.iter().copied().filter(is_open).count() > 1 {
        return Err(Status::invalid_argument(format!(
            "The shape of the raw input for '{model}' model can not be deduced because there are more than one \
             variable-sized dimension"
        )));
    }
    let fixed =
        dims.iter().filter(|dim| !is_open(dim)).try_fold(1i64, |product, dim| product.checked_mul(*dim));
    if let Some(open) = dims.iter_mut().find(|dim| is_open(dim)) {
        *open = fixed.and_then(|fixed| elements.checked_div(fixed)).unwrap_or_default();
    }
    Ok(Shape::new(&dims)?)
}

#[cfg(test)]
mod tests;
