//! One input of an infer request, from the JSON or from the binary tail.

use bytes::Bytes;
use jiter::Peek;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Error, Shape, Strings, Tensor};

use crate::column::column;
use crate::infer_parameters::read_input_parameters;
use crate::reader::{Raw, Reader};

/// What follows the JSON: the elements of the binary inputs, in the order of the inputs.
pub(crate) struct BinaryTail<'a> {
    rest: Bytes,
    model: &'a str,
}

impl<'a> BinaryTail<'a> {
    pub(crate) fn new(rest: Bytes, model: &'a str) -> Self {
        Self { rest, model }
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Result<(), Status> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let (left, model) = (self.rest.len(), named(self.model));
        Err(Status::invalid_argument(format!(
            "unexpected additional input data for model {model}: {left} bytes"
        )))
    }

    fn take(&mut self, input: &str, size: usize) -> Result<Bytes, Status> {
        if size > self.rest.len() {
            let (input, model, missing) = (named(input), named(self.model), size - self.rest.len());
            return Err(Status::invalid_argument(format!(
                "unexpected size for input {input}, expecting {missing} additional bytes for model {model}"
            )));
        }
        Ok(self.rest.split_to(size))
    }
}

/// A key of an input.
#[derive(Clone, Copy)]
enum Key {
    Name,
    Shape,
    Datatype,
    Parameters,
    Data,
    Other,
}

/// What an input's object says, in whatever order.
#[derive(Default)]
struct Parts<'j> {
    name: Option<String>,
    shape: Option<Shape>,
    dtype: Option<DType>,
    binary_data_size: Option<usize>,
    data: Option<Data<'j>>,
}

enum Data<'j> {
    /// Read already, since type and shape came first.
    Read(Tensor),
    /// Found only.
    Found(Raw<'j>),
}

/// Reads an input and its elements.
pub(crate) fn read_input(
    reader: &mut Reader<'_>,
    peek: Peek,
    tail: &mut BinaryTail<'_>,
) -> Result<(String, Tensor), Status> {
    let at = reader.position();
    let parts = read_parts(reader, peek)?;
    let missing = |what: &str| {
        Status::invalid_argument(format!("Unable to parse 'inputs': the object at byte {at} has no '{what}'"))
    };
    let name = parts.name.ok_or_else(|| missing("name"))?;
    let shape = parts.shape.ok_or_else(|| missing("shape"))?;
    let dtype = parts.dtype.ok_or_else(|| missing("datatype"))?;
    let tensor = match (parts.data, parts.binary_data_size) {
        (Some(Data::Read(tensor)), None) => tensor,
        (Some(Data::Found(raw)), None) => {
            let mut reader = Reader::of(raw);
            let peek = reader.peek()?;
            read_data(&mut reader, peek, &name, dtype, shape)?
        }
        (None, Some(size)) => {
            let bytes = tail.take(&name, size)?;
            read_binary(bytes, &name, dtype, shape, tail.model)?
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(Status::invalid_argument(format!(
                "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', \
                 'shared_memory_region' in 'parameters'. But input {} set {}",
                named(&name),
                if parts.binary_data_size.is_some() { "two of them" } else { "no field" },
            )));
        }
    };
    Ok((name, tensor))
}

fn read_parts<'j>(reader: &mut Reader<'j>, peek: Peek) -> Result<Parts<'j>, Status> {
    let invalid = |status: Status| status.context("Unable to parse 'inputs'");
    let classify = |key: &str| match key {
        "name" => Key::Name,
        "shape" => Key::Shape,
        "datatype" => Key::Datatype,
        "parameters" => Key::Parameters,
        "data" => Key::Data,
        _ => Key::Other,
    };
    let mut parts = Parts::default();
    let mut next = reader.enter_object(peek, classify).map_err(invalid)?;
    while let Some(key) = next {
        let peek = reader.peek().map_err(invalid)?;
        match key {
            Key::Name => parts.name = Some(reader.string(peek, str::to_owned).map_err(invalid)?),
            Key::Shape => parts.shape = Some(read_shape(reader, peek)?),
            Key::Datatype => parts.dtype = Some(read_dtype(reader, peek)?),
            Key::Parameters => parts.binary_data_size = read_input_parameters(reader, peek)?,
            Key::Data if parts.data.is_some() => {
                return Err(invalid(Status::invalid_argument("an input has 'data' twice")));
            }
            Key::Data => {
                parts.data = Some(match (&parts.name, parts.dtype, &parts.shape) {
                    (Some(name), Some(dtype), Some(shape)) => {
                        Data::Read(read_data(reader, peek, name, dtype, shape.clone())?)
                    }
                    _ => Data::Found(reader.raw().map_err(invalid)?),
                });
            }
            Key::Other => reader.skip(peek).map_err(invalid)?,
        }
        next = reader.next_key(classify).map_err(invalid)?;
    }
    Ok(parts)
}

fn read_shape(reader: &mut Reader<'_>, peek: Peek) -> Result<Shape, Status> {
    let invalid = |status: Status| status.context("Unable to parse 'shape'");
    let mut dims = Vec::new();
    let mut next = reader.enter_list(peek).map_err(invalid)?;
    while let Some(peek) = next {
        let dim = reader.integer(peek).map_err(invalid)?;
        if dim < 0 {
            return Err(Status::invalid_argument(
                "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer",
            ));
        }
        if dims.len() > Shape::MAX_RANK {
            break;
        }
        dims.push(i64::try_from(dim).unwrap_or(i64::MAX));
        next = reader.next_item().map_err(invalid)?;
    }
    Shape::new(&dims).map_err(|error| match error {
        Error::TooLarge => Status::invalid_argument(format!(
            "Unable to parse 'shape': it causes total element count to exceed maximum size of {}",
            isize::MAX
        )),
        error => invalid(error.into()),
    })
}

fn read_dtype(reader: &mut Reader<'_>, peek: Peek) -> Result<DType, Status> {
    let dtype = reader.string(peek, |name| {
        let unknown = || {
            Status::invalid_argument(format!("Unable to parse 'datatype': {} is no data type", Quoted(name)))
        };
        DType::from_name(name).ok_or_else(unknown)
    });
    dtype.map_err(|status| status.context("Unable to parse 'datatype'"))?
}

/// Reads elements from JSON, flat or nested.
fn read_data(
    reader: &mut Reader<'_>,
    peek: Peek,
    name: &str,
    dtype: DType,
    shape: Shape,
) -> Result<Tensor, Status> {
    let column = match dtype {
        DType::F16 | DType::BF16 => None,
        dtype => column(dtype),
    };
    let Some(mut column) = column else {
        let name = named(name);
        return Err(Status::invalid_argument(format!(
            "receiving {dtype} data via JSON is not supported. Please use the binary data format for input {name}"
        )));
    };
    let in_input = |status: Status| status.context(format_args!("input {}", named(name)));
    if peek != Peek::Array {
        return Err(in_input(reader.unexpected(peek, "a list of the elements in 'data'")));
    }
    column.read_flat(reader, peek, shape.element_count()).map_err(in_input)?;
    column.into_shape(shape).map_err(in_input)
}

/// Takes elements from the binary tail.
fn read_binary(bytes: Bytes, name: &str, dtype: DType, shape: Shape, model: &str) -> Result<Tensor, Status> {
    let (input, model, found) = (named(name), named(model), bytes.len());
    let Some(wanted) = shape.byte_count(dtype) else {
        let count = shape.element_count();
        let strings = Strings::from_length_prefixed(bytes, count);
        let (strings, left) = strings.map_err(|error| match error {
            Error::StringLength { index } => Status::invalid_argument(format!(
                "expected {count} string elements for inference input {input} for model {model}, got {index} that are \
                 whole"
            )),
            error => error.into(),
        })?;
        if left > 0 {
            return Err(Status::invalid_argument(format!(
                "unexpected number of string elements for inference input {input} for model {model}, expecting \
                 {count}: {left} bytes are left"
            )));
        }
        return Ok(Tensor::from_strings(shape, strings)?);
    };
    if wanted != found {
        return Err(Status::invalid_argument(format!(
            "input byte size mismatch for input {input} for model {model}. Expected {wanted}, got {found}"
        )));
    }
    let tensor = Tensor::from_bytes(dtype, shape, bytes).map_err(Status::from);
    tensor.map_err(|status| status.context(format_args!("input {input}")))
}

/// A name in Triton's quotes, cut where it is long.
fn named(name: &str) -> String {
    let quoted = Quoted(name).to_string();
    format!("'{}'", quoted.trim_matches('`'))
}
