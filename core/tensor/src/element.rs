//! Rust types that can be the elements of a tensor.

use bytemuck::{CheckedBitPattern, NoUninit};
use half::{bf16, f16};

use crate::DType;

/// A Rust type that is laid out as the elements of one [`DType`].
///
/// The 8-bit floats and the quantised integers have no Rust type: read them with [`TensorView::bytes`].
///
/// [`TensorView::bytes`]: crate::TensorView::bytes
pub trait Element: CheckedBitPattern + NoUninit + Send + Sync + 'static {
    /// The element type that `Self` is the Rust form of.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident,)*) => {
        $(impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
        })*
    };
}

elements! {
    bool => Bool,
    u8 => U8,
    u16 => U16,
    u32 => U32,
    u64 => U64,
    i8 => I8,
    i16 => I16,
    i32 => I32,
    i64 => I64,
    f16 => F16,
    f32 => F32,
    f64 => F64,
    bf16 => BF16,
    [f32; 2] => C64,
    [f64; 2] => C128,
}
