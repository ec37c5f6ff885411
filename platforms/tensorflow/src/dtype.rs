//! Element types by TensorFlow's numbers: `tensorflow/core/framework/types.proto`.

use salver_core_tensor::DType;

const TABLE: [(i32, DType); 25] = [
    (1, DType::F32),
    (2, DType::F64),
    (3, DType::I32),
    (4, DType::U8),
    (5, DType::I16),
    (6, DType::I8),
    (7, DType::String),
    (8, DType::C64),
    (9, DType::I64),
    (10, DType::Bool),
    (11, DType::QI8),
    (12, DType::QU8),
    (13, DType::QI32),
    (14, DType::BF16),
    (15, DType::QI16),
    (16, DType::QU16),
    (17, DType::U16),
    (18, DType::C128),
    (19, DType::F16),
    (22, DType::U32),
    (23, DType::U64),
    (24, DType::F8E5M2),
    (25, DType::F8E4M3FN),
    (26, DType::F8E4M3FNUZ),
    (28, DType::F8E5M2FNUZ),
];

/// What is added to a number for a reference to such a tensor: `DataType` in the same file. TensorFlow 1's variables are.
const REFERENCE: i32 = 100;

/// The element type of a number of TensorFlow's, where it is one that a request can carry. What is fetched by a reference is
/// the tensor that it refers to.
pub(crate) fn from_number(number: i32) -> Option<DType> {
    let number = if number > REFERENCE { number - REFERENCE } else { number };
    TABLE.iter().find(|(known, _)| *known == number).map(|(_, dtype)| *dtype)
}

/// TensorFlow's number of an element type.
pub(crate) fn number(dtype: DType) -> Option<i32> {
    TABLE.iter().find(|(_, known)| *known == dtype).map(|(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_type_has_one_number() {
        for dtype in DType::ALL {
            assert_eq!(number(dtype).and_then(from_number), Some(dtype));
        }
        // RESOURCE and VARIANT are no elements of a tensor that a request can carry.
        assert_eq!([0, 20, 21, 100, 120, 201, i32::MAX, i32::MIN].map(from_number), [None; 8]);
        assert_eq!([101, 109].map(from_number), [Some(DType::F32), Some(DType::I64)]);
    }
}
