//! Between our tensors and libtorch's values.

use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Shape, Tensor, TensorView};
use tch::{Device, IValue, Kind};

use crate::error;

/// libtorch's name of an element type, where it has it.
pub(crate) fn kind(dtype: DType) -> Option<Kind> {
    Some(match dtype {
        DType::Bool => Kind::Bool,
        DType::U8 => Kind::Uint8,
        DType::I8 => Kind::Int8,
        DType::I16 => Kind::Int16,
        DType::I32 => Kind::Int,
        DType::I64 => Kind::Int64,
        DType::F16 => Kind::Half,
        DType::BF16 => Kind::BFloat16,
        DType::F32 => Kind::Float,
        DType::F64 => Kind::Double,
        DType::C64 => Kind::ComplexFloat,
        DType::C128 => Kind::ComplexDouble,
        DType::F8E4M3FN => Kind::Float8e4m3fn,
        DType::F8E4M3FNUZ => Kind::Float8e4m3fnuz,
        DType::F8E5M2 => Kind::Float8e5m2,
        DType::F8E5M2FNUZ => Kind::Float8e5m2fnuz,
        DType::U16 | DType::U32 | DType::U64 | DType::String => return None,
        DType::QI8 | DType::QU8 | DType::QI16 | DType::QU16 | DType::QI32 => return None,
    })
}

fn dtype(kind: Kind) -> Option<DType> {
    DType::ALL.into_iter().find(|dtype| self::kind(*dtype) == Some(kind))
}

/// A copy of a tensor on `device`.
///
/// # Errors
/// INVALID_ARGUMENT for an element type that libtorch does not have; INTERNAL where it fails.
pub(crate) fn to_torch(view: TensorView<'_>, device: Device) -> Result<tch::Tensor, Status> {
    let (Some(kind), Some(bytes)) = (kind(view.dtype()), view.bytes()) else {
        return Err(Status::invalid_argument(format!("libtorch has no element type {}", view.dtype())));
    };
    let tensor = tch::Tensor::f_from_data_size(bytes, view.shape().dims(), kind);
    let tensor = tensor.map_err(|error| error::internal(&error))?;
    if device == Device::Cpu { Ok(tensor) } else { Ok(tensor.to_device(device)) }
}

/// What a module returned under a name.
pub(crate) enum Output {
    Tensor(tch::Tensor),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// Takes what a module returned apart: positions where it has no names.
///
/// # Errors
/// UNIMPLEMENTED for what is neither a tensor, a number, nor a tuple, list or dictionary of such.
pub(crate) fn take_apart(value: IValue) -> Result<Returned, Status> {
    let each = |values: Vec<IValue>| values.into_iter().map(single).collect::<Result<_, _>>();
    Ok(match value {
        IValue::Tuple(values) | IValue::GenericList(values) => Returned::Listed(each(values)?),
        IValue::TensorList(tensors) => Returned::Listed(tensors.into_iter().map(Output::Tensor).collect()),
        IValue::GenericDict(entries) => {
            let entry = |(key, value): (IValue, IValue)| match key {
                IValue::String(key) => Ok((key, single(value)?)),
                other => Err(unfit(&format!("a dictionary with a key {other:?}"))),
            };
            Returned::Named(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
        other => Returned::Listed(vec![single(other)?]),
    })
}

/// What a module returned.
pub(crate) enum Returned {
    /// By position.
    Listed(Vec<Output>),
    /// By the keys of a dictionary.
    Named(Vec<(String, Output)>),
}

fn single(value: IValue) -> Result<Output, Status> {
    Ok(match value {
        IValue::Tensor(tensor) => Output::Tensor(tensor),
        IValue::Int(number) => Output::Int(number),
        IValue::Double(number) => Output::Float(number),
        IValue::Bool(value) => Output::Bool(value),
        IValue::None => return Err(unfit("none")),
        IValue::Tuple(_) | IValue::GenericList(_) | IValue::TensorList(_) => {
            return Err(unfit("a tuple or list inside another"));
        }
        IValue::GenericDict(_) => return Err(unfit("a dictionary inside a tuple, list or dictionary")),
        other => return Err(unfit(&format!("{other:?}"))),
    })
}

fn unfit(what: &str) -> Status {
    Status::unimplemented(format!(
        "`forward` returned {what}, wanted a tensor, or a tuple, list or dictionary of tensors and numbers"
    ))
}

impl Output {
    /// Its element type.
    ///
    /// # Errors
    /// UNIMPLEMENTED where no protocol has it.
    pub(crate) fn dtype(&self) -> Result<DType, Status> {
        match self {
            Output::Tensor(tensor) => {
                let kind = tensor.f_kind().map_err(|error| error::internal(&error))?;
                let unknown = || Status::unimplemented(format!("an output has the element type {kind:?}"));
                dtype(kind).ok_or_else(unknown)
            }
            Output::Int(_) => Ok(DType::I64),
            Output::Float(_) => Ok(DType::F64),
            Output::Bool(_) => Ok(DType::Bool),
        }
    }

    /// How many dimensions it has.
    pub(crate) fn rank(&self) -> usize {
        match self {
            Output::Tensor(tensor) => tensor.size().len(),
            Output::Int(_) | Output::Float(_) | Output::Bool(_) => 0,
        }
    }

    /// A copy as one of our tensors.
    ///
    /// # Errors
    /// As [`dtype`](Self::dtype); INTERNAL where libtorch fails.
    pub(crate) fn into_tensor(self, name: &str) -> Result<Tensor, Status> {
        let in_output = |status: Status| status.context(format_args!("output {}", Quoted(name)));
        match &self {
            Output::Tensor(tensor) => from_torch(tensor, self.dtype().map_err(in_output)?).map_err(in_output),
            Output::Int(number) => Ok(Tensor::from_vec(Shape::scalar(), vec![*number])?),
            Output::Float(number) => Ok(Tensor::from_vec(Shape::scalar(), vec![*number])?),
            Output::Bool(value) => {
                Ok(Tensor::from_bytes(DType::Bool, Shape::scalar(), vec![u8::from(*value)].into())?)
            }
        }
    }
}

fn from_torch(tensor: &tch::Tensor, dtype: DType) -> Result<Tensor, Status> {
    let torch = |error: tch::TchError| error::internal(&error);
    let resolved;
    let tensor = match dtype {
        // These may be lazily conjugated or negated.
        DType::C64 | DType::C128 => {
            resolved = tensor.f_resolve_conj().and_then(|tensor| tensor.f_resolve_neg()).map_err(torch)?;
            &resolved
        }
        _ => tensor,
    };
    let shape = Shape::new(&tensor.size())?;
    let size = shape.byte_count(dtype).unwrap_or(0);
    let mut bytes = vec![0_u8; size];
    tensor.f_copy_data_u8(&mut bytes, shape.element_count()).map_err(torch)?;
    Ok(Tensor::from_bytes(dtype, shape, bytes.into())?)
}
