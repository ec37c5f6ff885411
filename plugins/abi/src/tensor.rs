//! Tensors.

use std::ffi::c_void;

use abi_stable::StableAbi;

/// No tensor: an optional input that is left out.
pub const ABSENT: u32 = 0;
/// One byte, 0 or 1.
pub const BOOL: u32 = 1;
/// 8 bits, unsigned.
pub const U8: u32 = 2;
/// 16 bits, unsigned.
pub const U16: u32 = 3;
/// 32 bits, unsigned.
pub const U32: u32 = 4;
/// 64 bits, unsigned.
pub const U64: u32 = 5;
/// 8 bits, signed.
pub const I8: u32 = 6;
/// 16 bits, signed.
pub const I16: u32 = 7;
/// 32 bits, signed.
pub const I32: u32 = 8;
/// 64 bits, signed.
pub const I64: u32 = 9;
/// IEEE 754 half precision.
pub const F16: u32 = 10;
/// IEEE 754 single precision.
pub const F32: u32 = 11;
/// IEEE 754 double precision.
pub const F64: u32 = 12;
/// A string of bytes of any length, not necessarily UTF-8.
pub const STRING: u32 = 13;
/// The upper half of a single precision float.
pub const BF16: u32 = 14;
/// Two single precision floats: real, imaginary.
pub const C64: u32 = 15;
/// Two double precision floats: real, imaginary.
pub const C128: u32 = 16;
/// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinities.
pub const F8E4M3FN: u32 = 17;
/// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinities, no negative zero.
pub const F8E4M3FNUZ: u32 = 18;
/// 8-bit float: 5 bits of exponent, 2 of mantissa.
pub const F8E5M2: u32 = 19;
/// 8-bit float: 5 bits of exponent, 2 of mantissa, no infinities, no negative zero.
pub const F8E5M2FNUZ: u32 = 20;
/// TensorFlow's quantised 8 bits, signed.
pub const QI8: u32 = 21;
/// TensorFlow's quantised 8 bits, unsigned.
pub const QU8: u32 = 22;
/// TensorFlow's quantised 16 bits, signed.
pub const QI16: u32 = 23;
/// TensorFlow's quantised 16 bits, unsigned.
pub const QU16: u32 = 24;
/// TensorFlow's quantised 32 bits, signed.
pub const QI32: u32 = 25;

/// A tensor, borrowed: dense, row-major, little-endian, in the memory of this machine.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Tensor {
    /// The type of the elements, such as [`F32`]; [`ABSENT`] where an optional input is left out, and the other
    /// fields mean nothing.
    pub dtype: u32,
    /// How many dimensions there are, 0 to 254.
    pub rank: u32,
    /// The sizes of the dimensions, outermost first, each 0 or more.
    pub shape: *const i64,
    /// The elements, aligned for their type; of [`STRING`], one [`Bytes`](crate::Bytes) for each. Null is allowed
    /// where there are none.
    pub data: *const c_void,
    /// The size of what `data` points to, in bytes: the number of elements times the size of one. One [`STRING`]
    /// element counts as one `Bytes`, 16 bytes, however long the string is.
    pub size: usize,
}

impl Tensor {
    /// An optional input that is left out.
    pub const NONE: Tensor =
        Tensor { dtype: ABSENT, rank: 0, shape: std::ptr::null(), data: std::ptr::null(), size: 0 };
}
