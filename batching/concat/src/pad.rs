//! Dimensions that are brought to one size.

use std::fmt;

use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Shape, Strings, Tensor, bf16, f16};

use crate::copy::{Layouts, sizes, with_room};
use crate::float8;
use crate::split::first_elements;

/// What stands where a tensor has no element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum PadValue {
    /// The tensor's own first element, as TensorFlow Serving pads; zero where it has none.
    #[default]
    FirstElement,
    /// Zero, false, or the empty string.
    Zero,
    /// This number, as the element type has it: integers are cut to their range and lose the fraction, floats are
    /// rounded, booleans are whether it is not zero, complex numbers have it as their real part; the empty string for
    /// strings.
    Number(f64),
}

/// As it is written in settings.
impl fmt::Display for PadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstElement => f.write_str("first_element"),
            Self::Zero => f.write_str("zero"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// The bytes of one element, the first ones.
pub(crate) type Element = [u8; 16];

impl PadValue {
    /// The number to pad with; `None` where each tensor has its own.
    pub(crate) fn number(self) -> Option<f64> {
        match self {
            PadValue::FirstElement => None,
            PadValue::Zero => Some(0.0),
            PadValue::Number(value) => Some(value),
        }
    }
}

/// `value` as an element of a type of fixed size.
pub(crate) fn element(dtype: DType, value: f64) -> Element {
    let mut bytes = Element::default();
    let mut put = |element: &[u8]| {
        for (byte, value) in bytes.iter_mut().zip(element) {
            *byte = *value;
        }
    };
    match dtype {
        DType::Bool => put(&[u8::from(value != 0.0)]),
        DType::U8 | DType::QU8 => put(&(value as u8).to_le_bytes()),
        DType::U16 | DType::QU16 => put(&(value as u16).to_le_bytes()),
        DType::U32 => put(&(value as u32).to_le_bytes()),
        DType::U64 => put(&(value as u64).to_le_bytes()),
        DType::I8 | DType::QI8 => put(&(value as i8).to_le_bytes()),
        DType::I16 | DType::QI16 => put(&(value as i16).to_le_bytes()),
        DType::I32 | DType::QI32 => put(&(value as i32).to_le_bytes()),
        DType::I64 => put(&(value as i64).to_le_bytes()),
        DType::F16 => put(&f16::from_f64(value).to_le_bytes()),
        DType::BF16 => put(&bf16::from_f64(value).to_le_bytes()),
        DType::F32 | DType::C64 => put(&(value as f32).to_le_bytes()),
        DType::F64 | DType::C128 => put(&value.to_le_bytes()),
        DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ => {
            put(&[float8::nearest(dtype, value).unwrap_or_default()]);
        }
        DType::String => {}
    }
    bytes
}

/// The part of `tensor` that begins at the first element of each dimension and has the sizes of `shape`. Without a copy
/// where only dimension 0 differs; strings are never copied.
///
/// # Errors
/// FAILED_PRECONDITION naming `name` where `shape` has another rank or is larger; RESOURCE_EXHAUSTED where there is no
/// memory for a copy.
pub fn trim(name: &str, tensor: &Tensor, shape: &Shape) -> Result<Tensor, Status> {
    let (from, to) = (tensor.shape().dims(), shape.dims());
    if from.len() != to.len() || from.iter().zip(to).any(|(from, to)| to > from) {
        return Err(Status::failed_precondition(format!(
            "tensor {} of shape {} cannot be trimmed to {shape}",
            Quoted(name),
            tensor.shape()
        )));
    }
    let inner = 1..;
    if from.get(inner.clone()) == to.get(inner) || shape.element_count() == 0 {
        return first_elements(tensor, shape.clone());
    }
    let (from, to) = (sizes(tensor.shape()), sizes(shape));
    let trimmed = match (tensor.fixed(), tensor.strings()) {
        (Some(bytes), _) => {
            let unit = tensor.dtype().size().unwrap_or(1);
            let mut out = with_room::<u8>(shape.element_count() * unit, shape)?;
            Layouts::new(&from, &to, unit).crop(bytes, &mut out);
            Tensor::from_bytes(tensor.dtype(), shape.clone(), out.into())?
        }
        (None, Some(strings)) => {
            let mut spans = with_room(shape.element_count(), shape)?;
            Layouts::new(&from, &to, 1).crop(strings.spans(), &mut spans);
            Tensor::from_strings(shape.clone(), Strings::from_spans(strings.buffer().clone(), spans)?)?
        }
        (None, None) => return Err(Status::internal("a tensor without elements")),
    };
    Ok(trimmed)
}
