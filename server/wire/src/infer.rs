//! Tensors of the Open Inference Protocol.

use bytes::Bytes;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Element, Error, Shape, Strings, Tensor};
use salver_proto::inference::InferTensorContents;
use salver_proto::inference::model_infer_request::InferInputTensor;
use salver_proto::inference::model_infer_response::InferOutputTensor;

use crate::refuse_unsupported;

/// The inputs of a request for `model`, by name and in the order of the request.
///
/// # Errors
/// INVALID_ARGUMENT where an input is not a tensor, its elements are missing, in two places or too many;
/// UNIMPLEMENTED where they are in shared memory.
pub fn decode_inputs(
    model: &str,
    inputs: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
) -> Result<Vec<(String, Tensor)>, Status> {
    let (found, wanted, is_raw) = (raw.len(), inputs.len(), !raw.is_empty());
    let mut raw = raw.into_iter();
    let mut tensors = Vec::with_capacity(inputs.len());
    for input in inputs {
        let InferInputTensor { name, datatype, shape, parameters, contents } = input;
        refuse_unsupported("input", &name, parameters.iter().map(|entry| entry.key.as_str()))?;
        let of = Of { input: &name, model };
        let dtype = of.dtype(&datatype)?;
        let shape = of.shape(&shape)?;
        let tensor = match (raw.next(), contents) {
            (None, Some(contents)) if !is_raw => of.typed(dtype, shape, contents)?,
            (Some(raw), None) => decode_raw(model, &name, dtype, shape, raw)?,
            (None, None) if shape.element_count() == 0 => empty(dtype, shape)?,
            (_, Some(_)) => {
                return Err(
                    of.wrong("contents field must not be specified when using raw_input_contents for")
                );
            }
            (None, None) => return Err(of.no_data()),
        };
        tensors.push((name, tensor));
    }
    if found > wanted {
        let model = quoted(model);
        return Err(Status::invalid_argument(format!(
            "expected at most {wanted} raw input contents for model {model}, one for each input, got {found}"
        )));
    }
    Ok(tensors)
}

/// An input whose elements lie in `raw` in memory order, strings each after its length in 4 bytes. Shares `raw`.
///
/// # Errors
/// INVALID_ARGUMENT, in Triton's words, where `raw` is shorter or longer than the shape.
pub fn decode_raw(
    model: &str,
    input: &str,
    dtype: DType,
    shape: Shape,
    raw: Bytes,
) -> Result<Tensor, Status> {
    let of = Of { input, model };
    if dtype != DType::String {
        return Tensor::from_bytes(dtype, shape, raw).map_err(|error| of.mismatch(error));
    }
    let wanted = shape.element_count();
    let (strings, left) = Strings::from_length_prefixed(raw, wanted).map_err(|error| match error {
        Error::StringLength { index } => {
            of.wrong(&format!("expected {wanted} string elements, and element {index} is cut off, for"))
        }
        other => of.mismatch(other),
    })?;
    if left > 0 {
        return Err(
            of.wrong(&format!("expected {wanted} string elements, and {left} bytes are left over, for"))
        );
    }
    Ok(Tensor::from_strings(shape, strings)?)
}

/// An output, and its elements in memory order. Shares the elements, but for strings.
///
/// # Errors
/// INVALID_ARGUMENT for a string of 4 GiB or more, whose length the protocol cannot say.
pub fn encode_output(name: &str, tensor: &Tensor) -> Result<(InferOutputTensor, Bytes), Status> {
    let raw = match (tensor.fixed(), tensor.strings()) {
        (Some(bytes), _) => bytes.clone(),
        (None, Some(strings)) => strings.view().to_length_prefixed()?,
        (None, None) => Bytes::new(),
    };
    let output = InferOutputTensor {
        name: name.to_owned(),
        datatype: tensor.dtype().name().to_owned(),
        shape: tensor.shape().dims().to_vec(),
        ..InferOutputTensor::default()
    };
    Ok((output, raw))
}

/// One input of one model, for messages about it.
#[derive(Clone, Copy)]
struct Of<'a> {
    input: &'a str,
    model: &'a str,
}

impl Of<'_> {
    fn wrong(self, what: &str) -> Status {
        Status::invalid_argument(format!("{what} {} for model {}", quoted(self.input), quoted(self.model)))
    }

    fn no_data(self) -> Status {
        let (input, model) = (quoted(self.input), quoted(self.model));
        Status::invalid_argument(format!(
            "unable to find data for input tensor {input} for model {model} in request."
        ))
    }

    fn mismatch(self, error: Error) -> Status {
        match error {
            Error::ByteCount { wanted, found, .. } => self.byte_count(wanted, found),
            other => Status::from(other).context(format_args!("inference input {}", quoted(self.input))),
        }
    }

    fn byte_count(self, wanted: usize, found: usize) -> Status {
        let (input, model) = (quoted(self.input), quoted(self.model));
        Status::invalid_argument(format!(
            "input byte size mismatch for input {input} for model {model}. Expected {wanted}, got {found}"
        ))
    }

    fn dtype(self, name: &str) -> Result<DType, Status> {
        DType::from_name(name).ok_or_else(|| {
            let what = format!(
                "unknown data-type {}, wanted one such as 'FP32' or 'BYTES', for input",
                quoted(name)
            );
            self.wrong(&what)
        })
    }

    fn shape(self, dims: &[i64]) -> Result<Shape, Status> {
        Shape::new(dims).map_err(|error| self.mismatch(error))
    }

    /// Elements in the one list that belongs to their type.
    fn typed(self, dtype: DType, shape: Shape, contents: InferTensorContents) -> Result<Tensor, Status> {
        self.check_lists(dtype, &contents)?;
        let c = contents;
        match dtype {
            DType::Bool => self.list(dtype, shape, c.bool_contents),
            DType::I8 => self.narrowed::<_, i8>(dtype, shape, &c.int_contents),
            DType::I16 => self.narrowed::<_, i16>(dtype, shape, &c.int_contents),
            DType::I32 => self.list(dtype, shape, c.int_contents),
            DType::I64 => self.list(dtype, shape, c.int64_contents),
            DType::U8 => self.narrowed::<_, u8>(dtype, shape, &c.uint_contents),
            DType::U16 => self.narrowed::<_, u16>(dtype, shape, &c.uint_contents),
            DType::U32 => self.list(dtype, shape, c.uint_contents),
            DType::U64 => self.list(dtype, shape, c.uint64_contents),
            DType::F32 => self.list(dtype, shape, c.fp32_contents),
            DType::F64 => self.list(dtype, shape, c.fp64_contents),
            DType::String => self.strings(shape, &c.bytes_contents),
            _ => Err(self.raw_only(dtype)),
        }
    }

    /// Whether no list is filled but the one that belongs to `dtype`.
    fn check_lists(self, dtype: DType, contents: &InferTensorContents) -> Result<(), Status> {
        let c = contents;
        let lists = [
            (&[DType::Bool][..], !c.bool_contents.is_empty()),
            (&[DType::I32, DType::I16, DType::I8], !c.int_contents.is_empty()),
            (&[DType::I64], !c.int64_contents.is_empty()),
            (&[DType::U32, DType::U16, DType::U8], !c.uint_contents.is_empty()),
            (&[DType::U64], !c.uint64_contents.is_empty()),
            (&[DType::F32], !c.fp32_contents.is_empty()),
            (&[DType::F64], !c.fp64_contents.is_empty()),
            (&[DType::String], !c.bytes_contents.is_empty()),
        ];
        if !lists.iter().any(|(types, _)| types.contains(&dtype)) {
            return Err(self.raw_only(dtype));
        }
        let other = lists.iter().find(|(types, is_filled)| *is_filled && !types.contains(&dtype));
        let Some(found) = other.and_then(|(types, _)| types.first()) else {
            return Ok(());
        };
        let (input, model) = (quoted(self.input), quoted(self.model));
        Err(Status::invalid_argument(format!(
            "unexpected explicit tensor data for input tensor {input} for model {model} of type '{found}', \
             expected datatype '{dtype}'"
        )))
    }

    fn raw_only(self, dtype: DType) -> Status {
        self.wrong(&format!("{dtype} has no explicit contents, wanted raw_input_contents, for input"))
    }

    fn list<T: Element>(self, dtype: DType, shape: Shape, values: Vec<T>) -> Result<Tensor, Status> {
        let (wanted, found) = (shape.element_count(), values.len());
        if wanted == found {
            return Tensor::from_vec(shape, values).map_err(|error| self.mismatch(error));
        }
        if found == 0 {
            return Err(self.no_data());
        }
        // As many bytes as the elements would have, which is what Triton compares.
        let size = dtype.size().unwrap_or(1);
        Err(self.byte_count(wanted * size, found.saturating_mul(size)))
    }

    fn narrowed<W: Copy + std::fmt::Display, T: Element + TryFrom<W>>(
        self,
        dtype: DType,
        shape: Shape,
        values: &[W],
    ) -> Result<Tensor, Status> {
        let narrow = |value: &W| {
            T::try_from(*value)
                .map_err(|_| self.wrong(&format!("{value} is not a value of {dtype}, in input")))
        };
        self.list(dtype, shape, values.iter().map(narrow).collect::<Result<_, _>>()?)
    }

    fn strings(self, shape: Shape, values: &[Bytes]) -> Result<Tensor, Status> {
        let (wanted, found) = (shape.element_count(), values.len());
        if wanted != found {
            return Err(self.wrong(&format!("expected {wanted} string elements, got {found}, for input")));
        }
        let strings = match values {
            [one] => Strings::one(one.clone()),
            many => many.iter().collect(),
        };
        Tensor::from_strings(shape, strings).map_err(|error| self.mismatch(error))
    }
}

fn empty(dtype: DType, shape: Shape) -> Result<Tensor, Status> {
    match dtype {
        DType::String => Ok(Tensor::from_strings(shape, Strings::default())?),
        _ => Ok(Tensor::from_bytes(dtype, shape, Bytes::new())?),
    }
}

/// A name in the quotes that Triton's messages have.
fn quoted(name: &str) -> String {
    let quoted = Quoted(name).to_string();
    format!("'{}'", quoted.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap_or(&quoted))
}

#[cfg(test)]
mod tests;
