use super::*;

use std::cell::Cell;

use bytes::Bytes;
use proptest::prelude::*;
use salver_core_status::Code;
use salver_core_tensor::{DType, Shape, Strings, Tensor};
use salver_proto::tensorflow::tensor_shape_proto::Dim;
use salver_proto::tensorflow::{DataType, TensorProto, TensorShapeProto};

fn proto(dtype: DataType, dims: &[i64]) -> TensorProto {
    let dim = dims.iter().map(|size| Dim { size: *size, name: "named".into() }).collect();
    let tensor_shape = Some(TensorShapeProto { dim, unknown_rank: false });
    TensorProto { dtype: dtype as i32, tensor_shape, ..TensorProto::default() }
}

fn decode(proto: TensorProto) -> Result<Tensor, salver_core_status::Status> {
    decode_tensor(proto, &Cell::new(64 << 20))
}

#[track_caller]
fn refused(proto: TensorProto, code: Code, message: &str) {
    let error = decode(proto).unwrap_err();
    assert_eq!((error.code(), error.message()), (code, message));
}

#[test]
fn a_list_may_be_whole_or_end_early() {
    let floats = |values: &[f32]| TensorProto { float_val: values.into(), ..proto(DataType::DtFloat, &[4]) };
    for (values, wanted) in [
        (&[1.0, 2.0, 3.0, 4.0][..], [1.0f32, 2.0, 3.0, 4.0]),
        (&[7.0], [7.0, 7.0, 7.0, 7.0]),
        (&[1.0, 2.0], [1.0, 2.0, 2.0, 2.0]),
    ] {
        assert_eq!(decode(floats(values)).unwrap().view().as_slice::<f32>().unwrap(), wanted);
    }
    refused(
        floats(&[0.0; 5]),
        Code::InvalidArgument,
        "tensor of shape [4] needs 4 elements in `float_val`, got 5",
    );
    refused(floats(&[]), Code::InvalidArgument, "tensor of shape [4] needs 4 elements in `float_val`, got 0");
}

#[test]
fn a_whole_list_is_taken_over_and_content_is_shared() {
    let values = vec![1.0f64, 2.0];
    let address = values.as_ptr().addr();
    let tensor = decode(TensorProto { double_val: values, ..proto(DataType::DtDouble, &[2]) }).unwrap();
    assert_eq!(tensor.fixed().unwrap().as_ptr().addr(), address);
    let content = Bytes::from_static(b"\x01\x02");
    let tensor =
        decode(TensorProto { tensor_content: content.clone(), ..proto(DataType::DtUint8, &[2]) }).unwrap();
    assert_eq!(tensor.fixed().unwrap().as_ptr(), content.as_ptr());
}

#[test]
fn narrow_types_come_in_wider_lists_and_must_fit() {
    let ints = |dtype, value| TensorProto { int_val: vec![value], ..proto(dtype, &[1]) };
    assert_eq!(decode(ints(DataType::DtInt8, -128)).unwrap().view().as_slice::<i8>().unwrap(), [-128]);
    assert_eq!(decode(ints(DataType::DtUint16, 65535)).unwrap().view().as_slice::<u16>().unwrap(), [65535]);
    assert_eq!(decode(ints(DataType::DtQint8, -1)).unwrap().dtype(), DType::QI8);
    refused(
        ints(DataType::DtUint8, 256),
        Code::InvalidArgument,
        "`int_val` element 0 is 256, which no UINT8 is",
    );
    let half = TensorProto { half_val: vec![0x3c00], ..proto(DataType::DtHalf, &[1]) };
    assert_eq!(decode(half).unwrap().view().bytes().unwrap(), 0x3c00u16.to_le_bytes());
}

#[test]
fn strings_come_in_their_list_or_as_lengths_and_bytes() {
    let one = Bytes::from_static(b"hello");
    let tensor =
        decode(TensorProto { string_val: vec![one.clone()], ..proto(DataType::DtString, &[]) }).unwrap();
    assert_eq!(tensor.strings().unwrap().get(0).unwrap().as_ptr(), one.as_ptr());
    let two = TensorProto { string_val: vec!["a".into(), "b".into()], ..proto(DataType::DtString, &[3]) };
    let tensor = decode(two).unwrap();
    assert_eq!(tensor.view().strings().unwrap().iter().collect::<Vec<_>>(), [b"a", b"b", b"b"]);
    let content =
        |bytes| TensorProto { tensor_content: Bytes::from_static(bytes), ..proto(DataType::DtString, &[2]) };
    let tensor = decode(content(b"\x01\x02abc")).unwrap();
    assert_eq!(tensor.view().strings().unwrap().iter().collect::<Vec<_>>(), [&b"a"[..], b"bc"]);
    for wrong in [&b"\x01\x02ab"[..], b"\x01", b"\x01\x02abcd", b"\xff\xff"] {
        assert_eq!(decode(content(wrong)).unwrap_err().code(), Code::InvalidArgument, "{wrong:?}");
    }
}

#[test]
fn a_small_message_does_not_become_a_huge_tensor() {
    let splat = TensorProto { float_val: vec![1.0], ..proto(DataType::DtFloat, &[1 << 30]) };
    refused(
        splat,
        Code::ResourceExhausted,
        "`float_val` repeats its last element to shape [1073741824], a tensor of more than 67108864 bytes",
    );
    let long = vec![Bytes::from(vec![b'x'; 1 << 20])];
    let splat = TensorProto { string_val: long, ..proto(DataType::DtString, &[1000]) };
    assert_eq!(decode(splat).unwrap_err().code(), Code::ResourceExhausted);
}

#[test]
fn what_small_messages_stand_for_shares_the_room_there_is() {
    let splat = || TensorProto { float_val: vec![1.0], ..proto(DataType::DtFloat, &[100]) };
    let spelt = || TensorProto { float_val: vec![1.0; 100], ..proto(DataType::DtFloat, &[100]) };
    let room = Cell::new(1000);
    for left in [600, 200] {
        assert!(decode_tensor(splat(), &room).is_ok() && decode_tensor(spelt(), &room).is_ok());
        assert_eq!(room.get(), left);
    }
    assert_eq!(decode_tensor(splat(), &room).unwrap_err().code(), Code::ResourceExhausted);
}

#[test]
fn what_is_not_a_tensor_is_refused() {
    refused(proto(DataType::DtInvalid, &[]), Code::InvalidArgument, "the tensor's dtype is not set");
    let mut unknown = proto(DataType::DtFloat, &[]);
    unknown.tensor_shape.as_mut().unwrap().unknown_rank = true;
    refused(unknown, Code::InvalidArgument, "the tensor's shape has an unknown rank, wanted dimensions");
    let content = Bytes::from_static(&[0; 7]);
    refused(
        TensorProto { tensor_content: content, ..proto(DataType::DtFloat, &[2]) },
        Code::InvalidArgument,
        "FP32 tensor of shape [2] needs 8 bytes, got 7",
    );
    for dims in [&[i64::MAX, 2][..], &[-1], &[i64::MIN], &[1; 255]] {
        let values = TensorProto { float_val: vec![1.0], ..proto(DataType::DtFloat, dims) };
        assert_eq!(decode(values).unwrap_err().code(), Code::InvalidArgument, "{dims:?}");
    }
    let odd = TensorProto { scomplex_val: vec![1.0; 3], ..proto(DataType::DtComplex64, &[1]) };
    refused(odd, Code::InvalidArgument, "`scomplex_val` ends with a real part without an imaginary one");
}

#[test]
fn a_tensor_without_elements_needs_no_list() {
    assert_eq!(decode(proto(DataType::DtFloat, &[0, 3])).unwrap().view().len(), 0);
    assert_eq!(decode(proto(DataType::DtString, &[0])).unwrap().view().len(), 0);
}

proptest! {
    #[test]
    fn every_element_type_reads_as_it_was_written(
        dtype in prop::sample::select(&DType::ALL[..]),
        count in 0usize..6,
        seed in prop::collection::vec(any::<u8>(), 96),
        as_content in any::<bool>(),
    ) {
        let shape = Shape::new(&[count as i64]).unwrap();
        let tensor = match dtype.size() {
            None => {
                let strings: Strings = seed.chunks(7).take(count).collect();
                Tensor::from_strings(shape, strings).unwrap()
            }
            Some(size) => {
                let mask = if dtype == DType::Bool { 1 } else { 0xff };
                let bytes: Vec<u8> = seed[..count * size].iter().map(|byte| byte & mask).collect();
                Tensor::from_bytes(dtype, shape, bytes.into()).unwrap()
            }
        };
        let form = if as_content { TensorForm::Content } else { TensorForm::Lists };
        let decoded = decode(encode_tensor(&tensor, form).unwrap()).unwrap();
        prop_assert_eq!(decoded, tensor);
    }
}
