//! Reading a `TensorProto`.
//!
//! The rules are those of `Tensor::FromProto` in TensorFlow's `core/framework/tensor.cc`, but stricter where that
//! would make something up: a list longer than the shape, an empty list for a shape that has elements, and a number
//! that does not fit the element type are refused.

use std::cell::Cell;

use bytes::Bytes;
use salver_core_status::Status;
use salver_core_tensor::{DType, Element, Shape, Strings, Tensor};
use salver_proto::tensorflow::{TensorProto, TensorShapeProto};

use crate::dtype;

/// The tensor that `proto` describes.
///
/// Takes lists over and shares `tensor_content` where the elements lie in memory as on the wire. A list may leave out
/// elements that repeat; `room` is how many bytes such tensors, in memory, may take, and is less afterwards by those of
/// this one.
///
/// # Errors
/// INVALID_ARGUMENT where `proto` is not a tensor; RESOURCE_EXHAUSTED where a list stands for more than `room`.
pub fn decode_tensor(proto: TensorProto, room: &Cell<usize>) -> Result<Tensor, Status> {
    let dtype = dtype::from_tensorflow(proto.dtype)?;
    let shape = decode_shape(proto.tensor_shape.as_ref())?;
    if !proto.tensor_content.is_empty() {
        return from_content(dtype, shape, proto.tensor_content);
    }
    let list = |field| List { field, dtype, shape: &shape, room };
    match dtype {
        DType::F32 => owned(list("float_val").extend(proto.float_val)?, shape),
        DType::F64 => owned(list("double_val").extend(proto.double_val)?, shape),
        DType::I32 => owned(list("int_val").extend(proto.int_val)?, shape),
        DType::I64 => owned(list("int64_val").extend(proto.int64_val)?, shape),
        DType::U32 => owned(list("uint32_val").extend(proto.uint32_val)?, shape),
        DType::U64 => owned(list("uint64_val").extend(proto.uint64_val)?, shape),
        DType::Bool => owned(list("bool_val").extend(proto.bool_val)?, shape),
        DType::I16 => owned(list("int_val").narrow::<i16>(&proto.int_val)?, shape),
        DType::U16 => owned(list("int_val").narrow::<u16>(&proto.int_val)?, shape),
        DType::I8 => owned(list("int_val").narrow::<i8>(&proto.int_val)?, shape),
        DType::U8 => owned(list("int_val").narrow::<u8>(&proto.int_val)?, shape),
        DType::QI32 => same_bytes(dtype, list("int_val").extend(proto.int_val)?, shape),
        DType::QI16 => same_bytes(dtype, list("int_val").narrow::<i16>(&proto.int_val)?, shape),
        DType::QU16 => same_bytes(dtype, list("int_val").narrow::<u16>(&proto.int_val)?, shape),
        DType::QI8 => same_bytes(dtype, list("int_val").narrow::<i8>(&proto.int_val)?, shape),
        DType::QU8 => same_bytes(dtype, list("int_val").narrow::<u8>(&proto.int_val)?, shape),
        DType::F16 | DType::BF16 => {
            same_bytes(dtype, list("half_val").narrow::<u16>(&proto.half_val)?, shape)
        }
        DType::C64 => {
            let (pairs, rest) = proto.scomplex_val.as_chunks::<2>();
            whole_pairs("scomplex_val", rest.len())?;
            owned(list("scomplex_val").extend(pairs.to_vec())?, shape)
        }
        DType::C128 => {
            let (pairs, rest) = proto.dcomplex_val.as_chunks::<2>();
            whole_pairs("dcomplex_val", rest.len())?;
            owned(list("dcomplex_val").extend(pairs.to_vec())?, shape)
        }
        DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ => {
            same_bytes(dtype, list("float8_val").extend(proto.float8_val.into())?, shape)
        }
        DType::String => {
            let strings = list("string_val").strings(&proto.string_val)?;
            Ok(Tensor::from_strings(shape, strings)?)
        }
    }
}

/// The shape; that of a single element where none is given, as everywhere in TensorFlow.
fn decode_shape(proto: Option<&TensorShapeProto>) -> Result<Shape, Status> {
    let Some(proto) = proto else {
        return Ok(Shape::scalar());
    };
    if proto.unknown_rank {
        return Err(Status::invalid_argument("the tensor's shape has an unknown rank, wanted dimensions"));
    }
    // One more than allowed is enough to be refused for.
    let dims: Vec<i64> = proto.dim.iter().take(Shape::MAX_RANK + 1).map(|dim| dim.size).collect();
    Ok(Shape::new(&dims)?)
}

/// Elements in memory order; strings as their lengths, each a varint, and then their bytes.
fn from_content(dtype: DType, shape: Shape, content: Bytes) -> Result<Tensor, Status> {
    if dtype != DType::String {
        return Ok(Tensor::from_bytes(dtype, shape, content)?);
    }
    let wrong = || Status::invalid_argument("`tensor_content` of a string tensor is not lengths and bytes");
    let count = shape.element_count();
    if count > content.len() {
        return Err(wrong());
    }
    let mut rest = content.clone();
    let mut spans = Vec::with_capacity(count);
    let mut start: usize = 0;
    for _ in 0..count {
        let length = prost::encoding::decode_varint(&mut rest).map_err(|_| wrong())?;
        let length = usize::try_from(length).map_err(|_| wrong())?;
        spans.push((start, length));
        start = start.checked_add(length).ok_or_else(wrong)?;
    }
    if start != rest.len() {
        return Err(wrong());
    }
    Ok(Tensor::from_strings(shape, Strings::from_spans(rest, spans)?)?)
}

/// A list of elements that may end early: the last one then stands for all that follow.
struct List<'a> {
    field: &'static str,
    dtype: DType,
    shape: &'a Shape,
    room: &'a Cell<usize>,
}

impl List<'_> {
    /// `values`, and the last of them again until there are as many as the shape needs.
    fn extend<T: Copy>(&self, mut values: Vec<T>) -> Result<Vec<T>, Status> {
        let wanted = self.shape.element_count();
        if values.len() != wanted {
            self.check(values.len(), size_of::<T>())?;
            let last = values.last().copied();
            values.extend(last.into_iter().cycle().take(wanted - values.len()));
        }
        Ok(values)
    }

    /// The same for elements that are narrower than what carries them.
    fn narrow<T: Copy + TryFrom<i32>>(&self, values: &[i32]) -> Result<Vec<T>, Status> {
        let narrowed = values.iter().enumerate().map(|(index, value)| {
            T::try_from(*value).map_err(|_| {
                let (field, dtype) = (self.field, self.dtype);
                Status::invalid_argument(format!("`{field}` element {index} is {value}, which no {dtype} is"))
            })
        });
        self.extend(narrowed.collect::<Result<_, _>>()?)
    }

    fn strings(&self, values: &[Bytes]) -> Result<Strings, Status> {
        if let [one] = values
            && self.shape.element_count() == 1
        {
            return Ok(Strings::one(one.clone()));
        }
        // Whoever reads the elements one by one sees the last one in full each time.
        let repeats = self.shape.element_count().saturating_sub(values.len());
        let last_bytes = values.last().map_or(0, Bytes::len);
        if repeats.saturating_mul(last_bytes) > self.room.get() {
            return Err(self.too_large());
        }
        let mut buffer = Vec::with_capacity(values.iter().map(Bytes::len).sum());
        let mut spans = Vec::with_capacity(values.len());
        for value in values {
            spans.push((buffer.len(), value.len()));
            buffer.extend_from_slice(value);
        }
        Ok(Strings::from_spans(buffer.into(), self.extend(spans)?)?)
    }

    /// Whether `found` elements may stand for all that the shape needs.
    fn check(&self, found: usize, element_bytes: usize) -> Result<(), Status> {
        let (wanted, field, shape) = (self.shape.element_count(), self.field, self.shape);
        if found > wanted || found == 0 {
            return Err(Status::invalid_argument(format!(
                "tensor of shape {shape} needs {wanted} elements in `{field}`, got {found}"
            )));
        }
        let left = wanted.checked_mul(element_bytes).and_then(|bytes| self.room.get().checked_sub(bytes));
        self.room.set(left.ok_or_else(|| self.too_large())?);
        Ok(())
    }

    fn too_large(&self) -> Status {
        let (field, shape, limit) = (self.field, self.shape, self.room.get());
        Status::resource_exhausted(format!(
            "`{field}` repeats its last element to shape {shape}, a tensor of more than {limit} bytes"
        ))
    }
}

fn whole_pairs(field: &str, left: usize) -> Result<(), Status> {
    match left {
        0 => Ok(()),
        _ => {
            Err(Status::invalid_argument(format!("`{field}` ends with a real part without an imaginary one")))
        }
    }
}

fn owned<T: Element>(values: Vec<T>, shape: Shape) -> Result<Tensor, Status> {
    Ok(Tensor::from_vec(shape, values)?)
}

/// A tensor of a type that has no Rust type, from values that have the same bytes.
fn same_bytes<T: Element>(dtype: DType, values: Vec<T>, shape: Shape) -> Result<Tensor, Status> {
    let values = Tensor::from_vec(shape.clone(), values)?;
    let bytes = values.fixed().cloned().unwrap_or_default();
    Ok(Tensor::from_bytes(dtype, shape, bytes)?)
}
