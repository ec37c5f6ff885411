//! Tensors that are made up.

use salver_core_signature::{Signature, TensorSpec};
use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, Strings, Tensor};

use crate::Subject;

/// Values to fill a tensor with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Zeros, and texts of digits.
    Plain,
    /// Every pattern of bits, and bytes that are no text.
    Wild,
}

/// A tensor of this type and shape.
pub(crate) fn tensor(dtype: DType, dims: &[i64], values: Values) -> Result<Tensor, Status> {
    let shape = Shape::new(dims)?;
    let count = shape.element_count();
    let Some(size) = dtype.size() else {
        let element = |at: usize| match values {
            Values::Plain => at.to_string().into_bytes(),
            Values::Wild => [b"\0nul\xff\xfe".as_slice(), &vec![0x80; at]].concat(),
        };
        return Ok(Tensor::from_strings(shape, (0..count).map(element).collect::<Strings>())?);
    };
    let byte = |at: usize| match (values, dtype) {
        (Values::Plain, _) => 0,
        (Values::Wild, DType::Bool) => u8::from(at.is_multiple_of(2)),
        // 251 is prime: no two elements are alike for long.
        (Values::Wild, _) => u8::try_from((at + 128) % 251).unwrap_or_default(),
    };
    Ok(Tensor::from_bytes(dtype, shape, (0..count * size).map(byte).collect::<Vec<_>>().into())?)
}

/// Inputs that a signature allows, with `size` where it leaves a size open; optional ones are left out.
pub(crate) fn of_signature(
    subject: &Subject<'_>,
    signature: &Signature,
    size: i64,
    values: Values,
) -> Result<Vec<Option<Tensor>>, Status> {
    let given = |spec: &TensorSpec| subject.inputs.iter().find(|(name, _)| *name == spec.name);
    let input = |spec: &TensorSpec| match given(spec) {
        Some((_, tensor)) => Ok(Some(tensor.clone())),
        None if spec.is_optional => Ok(spec.default.clone()),
        None => {
            let dims = spec.shape.dims().unwrap_or(&[-1]);
            let dims: Vec<_> = dims.iter().map(|dim| if *dim < 0 { size } else { *dim }).collect();
            tensor(spec.dtype, &dims, values).map(Some)
        }
    };
    signature.inputs.iter().map(input).collect()
}
