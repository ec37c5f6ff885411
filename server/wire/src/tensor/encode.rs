//! Writing a `TensorProto`.

use salver_core_status::Status;
use salver_core_tensor::{DType, Element, Tensor, TensorView};
use salver_proto::tensorflow::tensor_shape_proto::Dim;
use salver_proto::tensorflow::{TensorProto, TensorShapeProto};

use crate::dtype;

/// How a tensor's elements are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TensorForm {
    /// In the list of the element type: what TensorFlow Serving replies with, and what most clients read.
    #[default]
    Lists,
    /// In `tensor_content`, without a copy; strings in their list all the same.
    Content,
}

/// `tensor` as a message.
///
/// # Errors
/// INTERNAL where the tensor is not what it says it is, which its constructors rule out.
pub fn encode_tensor(tensor: &Tensor, form: TensorForm) -> Result<TensorProto, Status> {
    let shape = tensor.shape();
    let dim = shape.dims().iter().map(|size| Dim { size: *size, name: String::new() }).collect();
    let mut proto = TensorProto {
        dtype: dtype::to_tensorflow(tensor.dtype()) as i32,
        tensor_shape: Some(TensorShapeProto { dim, unknown_rank: false }),
        ..TensorProto::default()
    };
    match (form, tensor.fixed()) {
        (TensorForm::Content, Some(content)) => proto.tensor_content = content.clone(),
        _ => fill_lists(tensor, &mut proto)?,
    }
    Ok(proto)
}

fn fill_lists(tensor: &Tensor, proto: &mut TensorProto) -> Result<(), Status> {
    let view = tensor.view();
    match view.dtype() {
        DType::F32 => proto.float_val = elements(&view)?.to_vec(),
        DType::F64 => proto.double_val = elements(&view)?.to_vec(),
        DType::I32 => proto.int_val = elements(&view)?.to_vec(),
        DType::I64 => proto.int64_val = elements(&view)?.to_vec(),
        DType::U32 => proto.uint32_val = elements(&view)?.to_vec(),
        DType::U64 => proto.uint64_val = elements(&view)?.to_vec(),
        DType::Bool => proto.bool_val = elements(&view)?.to_vec(),
        DType::C64 => proto.scomplex_val = elements::<[f32; 2]>(&view)?.as_flattened().to_vec(),
        DType::C128 => proto.dcomplex_val = elements::<[f64; 2]>(&view)?.as_flattened().to_vec(),
        DType::I16 | DType::QI16 => proto.int_val = widened::<2, _>(&view, i16::from_le_bytes),
        DType::U16 | DType::QU16 => proto.int_val = widened::<2, _>(&view, u16::from_le_bytes),
        DType::I8 | DType::QI8 => proto.int_val = widened::<1, _>(&view, i8::from_le_bytes),
        DType::U8 | DType::QU8 => proto.int_val = widened::<1, _>(&view, u8::from_le_bytes),
        DType::QI32 => proto.int_val = widened::<4, _>(&view, i32::from_le_bytes),
        DType::F16 | DType::BF16 => proto.half_val = widened::<2, _>(&view, u16::from_le_bytes),
        DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ => {
            proto.float8_val = tensor.fixed().cloned().unwrap_or_default();
        }
        DType::String => proto.string_val = tensor.strings().map(|s| s.iter().collect()).unwrap_or_default(),
    }
    Ok(())
}

fn elements<'a, T: Element>(view: &TensorView<'a>) -> Result<&'a [T], Status> {
    view.as_slice().map_err(|error| Status::internal(error.to_string()))
}

/// Elements of `N` bytes each as the 32-bit integers that carry them.
fn widened<const N: usize, T: Into<i32>>(view: &TensorView<'_>, read: fn([u8; N]) -> T) -> Vec<i32> {
    let (elements, _) = view.bytes().unwrap_or_default().as_chunks::<N>();
    elements.iter().map(|element| read(*element).into()).collect()
}
