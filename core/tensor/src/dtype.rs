//! Element types.

/// The type of a tensor's elements.
///
/// The numbers are part of the plugin ABI and never change; 1 to 14 are those of Triton's `model_config.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum DType {
    /// One byte, 0 or 1.
    Bool = 1,
    /// 8 bits, unsigned.
    U8 = 2,
    /// 16 bits, unsigned.
    U16 = 3,
    /// 32 bits, unsigned.
    U32 = 4,
    /// 64 bits, unsigned.
    U64 = 5,
    /// 8 bits, signed.
    I8 = 6,
    /// 16 bits, signed.
    I16 = 7,
    /// 32 bits, signed.
    I32 = 8,
    /// 64 bits, signed.
    I64 = 9,
    /// IEEE 754 half precision.
    F16 = 10,
    /// IEEE 754 single precision.
    F32 = 11,
    /// IEEE 754 double precision.
    F64 = 12,
    /// A string of bytes of any length, not necessarily UTF-8.
    String = 13,
    /// The upper half of a single precision float.
    BF16 = 14,
    /// Two single precision floats: real, imaginary.
    C64 = 15,
    /// Two double precision floats: real, imaginary.
    C128 = 16,
    /// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinities.
    F8E4M3FN = 17,
    /// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinities, no negative zero.
    F8E4M3FNUZ = 18,
    /// 8-bit float: 5 bits of exponent, 2 of mantissa.
    F8E5M2 = 19,
    /// 8-bit float: 5 bits of exponent, 2 of mantissa, no infinities, no negative zero.
    F8E5M2FNUZ = 20,
    /// TensorFlow's quantised 8 bits, signed.
    QI8 = 21,
    /// TensorFlow's quantised 8 bits, unsigned.
    QU8 = 22,
    /// TensorFlow's quantised 16 bits, signed.
    QI16 = 23,
    /// TensorFlow's quantised 16 bits, unsigned.
    QU16 = 24,
    /// TensorFlow's quantised 32 bits, signed.
    QI32 = 25,
}

impl DType {
    /// Every element type, in the order of its number.
    pub const ALL: [DType; 25] = [
        DType::Bool,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::F16,
        DType::F32,
        DType::F64,
        DType::String,
        DType::BF16,
        DType::C64,
        DType::C128,
        DType::F8E4M3FN,
        DType::F8E4M3FNUZ,
        DType::F8E5M2,
        DType::F8E5M2FNUZ,
        DType::QI8,
        DType::QU8,
        DType::QI16,
        DType::QU16,
        DType::QI32,
    ];

    /// The element type with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// Bytes per element; `None` for [`DType::String`], whose elements differ in length.
    pub const fn size(self) -> Option<usize> {
        Some(match self {
            DType::Bool | DType::U8 | DType::I8 | DType::QI8 | DType::QU8 => 1,
            DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ => 1,
            DType::U16 | DType::I16 | DType::F16 | DType::BF16 | DType::QI16 | DType::QU16 => 2,
            DType::U32 | DType::I32 | DType::F32 | DType::QI32 => 4,
            DType::U64 | DType::I64 | DType::F64 | DType::C64 => 8,
            DType::C128 => 16,
            DType::String => return None,
        })
    }

    /// The alignment in bytes that an element needs; 1 for [`DType::String`].
    pub const fn alignment(self) -> usize {
        match self {
            // A complex number is aligned as its parts are.
            DType::C64 => 4,
            DType::C128 => 8,
            other => match other.size() {
                Some(size) => size,
                None => 1,
            },
        }
    }

    /// The name in the Open Inference Protocol (`FP32`, `BYTES`); types the protocol lacks are named alike.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "BOOL",
            DType::U8 => "UINT8",
            DType::U16 => "UINT16",
            DType::U32 => "UINT32",
            DType::U64 => "UINT64",
            DType::I8 => "INT8",
            DType::I16 => "INT16",
            DType::I32 => "INT32",
            DType::I64 => "INT64",
            DType::F16 => "FP16",
            DType::F32 => "FP32",
            DType::F64 => "FP64",
            DType::String => "BYTES",
            DType::BF16 => "BF16",
            DType::C64 => "COMPLEX64",
            DType::C128 => "COMPLEX128",
            DType::F8E4M3FN => "FP8_E4M3FN",
            DType::F8E4M3FNUZ => "FP8_E4M3FNUZ",
            DType::F8E5M2 => "FP8_E5M2",
            DType::F8E5M2FNUZ => "FP8_E5M2FNUZ",
            DType::QI8 => "QINT8",
            DType::QU8 => "QUINT8",
            DType::QI16 => "QINT16",
            DType::QU16 => "QUINT16",
            DType::QI32 => "QINT32",
        }
    }

    /// The element type with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_type_is_found_again_by_number_and_by_name() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_u32(dtype as u32), Some(dtype));
            assert_eq!(DType::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(DType::from_u32(0), None);
        assert_eq!(DType::from_u32(26), None);
        assert_eq!(DType::from_name("fp32"), None);
    }

    #[test]
    fn alignment_divides_size() {
        for dtype in DType::ALL {
            assert_eq!(dtype.size().unwrap_or(1) % dtype.alignment(), 0, "{dtype}");
        }
    }
}
