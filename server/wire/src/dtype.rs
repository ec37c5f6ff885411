//! Element types as TensorFlow numbers them.

use salver_core_status::Status;
use salver_core_tensor::DType;
use salver_proto::tensorflow::DataType;

/// The number of `dtype` in `tensorflow.DataType`.
pub(crate) fn to_tensorflow(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::DtBool,
        DType::U8 => DataType::DtUint8,
        DType::U16 => DataType::DtUint16,
        DType::U32 => DataType::DtUint32,
        DType::U64 => DataType::DtUint64,
        DType::I8 => DataType::DtInt8,
        DType::I16 => DataType::DtInt16,
        DType::I32 => DataType::DtInt32,
        DType::I64 => DataType::DtInt64,
        DType::F16 => DataType::DtHalf,
        DType::F32 => DataType::DtFloat,
        DType::F64 => DataType::DtDouble,
        DType::String => DataType::DtString,
        DType::BF16 => DataType::DtBfloat16,
        DType::C64 => DataType::DtComplex64,
        DType::C128 => DataType::DtComplex128,
        DType::F8E4M3FN => DataType::DtFloat8E4m3fn,
        DType::F8E4M3FNUZ => DataType::DtFloat8E4m3fnuz,
        DType::F8E5M2 => DataType::DtFloat8E5m2,
        DType::F8E5M2FNUZ => DataType::DtFloat8E5m2fnuz,
        DType::QI8 => DataType::DtQint8,
        DType::QU8 => DataType::DtQuint8,
        DType::QI16 => DataType::DtQint16,
        DType::QU16 => DataType::DtQuint16,
        DType::QI32 => DataType::DtQint32,
    }
}

/// The element type with this number in `tensorflow.DataType`.
///
/// # Errors
/// INVALID_ARGUMENT where there is none, or none that is served.
pub(crate) fn from_tensorflow(number: i32) -> Result<DType, Status> {
    let refused = || match DataType::try_from(number) {
        Ok(DataType::DtInvalid) => Status::invalid_argument("the tensor's dtype is not set"),
        Ok(dtype) => Status::invalid_argument(format!(
            "the tensor's dtype is {}, which is not served",
            dtype.as_str_name()
        )),
        Err(_) => {
            Status::invalid_argument(format!("the tensor's dtype is {number}, which is not a data type"))
        }
    };
    // 25 comparisons of numbers known when this is compiled: as good as a table, and nothing to keep in step.
    DType::ALL.into_iter().find(|dtype| to_tensorflow(*dtype) as i32 == number).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_type_has_a_number_of_its_own() {
        for dtype in DType::ALL {
            assert_eq!(from_tensorflow(to_tensorflow(dtype) as i32), Ok(dtype));
        }
    }

    #[test]
    fn a_type_that_is_not_served_is_named() {
        let message = |number| from_tensorflow(number).unwrap_err().message().to_owned();
        assert_eq!(message(0), "the tensor's dtype is not set");
        assert_eq!(message(20), "the tensor's dtype is DT_RESOURCE, which is not served");
        assert_eq!(message(-1), "the tensor's dtype is -1, which is not a data type");
    }
}
