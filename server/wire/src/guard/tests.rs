use super::*;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use salver_core_status::Code;
use salver_proto::inference::ModelInferRequest;
use salver_proto::inference::model_infer_request::InferInputTensor;
use salver_proto::tensorflow::TensorProto;
use salver_proto::tensorflow::serving::PredictRequest;
use salver_proto::tensorflow::serving::predict_request::InputsEntry;

#[track_caller]
fn accepted(message: &'static Message, encoded: &[u8]) {
    assert_eq!(check(message, encoded), Ok(()));
}

fn predict(tensor: TensorProto) -> Vec<u8> {
    let inputs = vec![InputsEntry { key: "x".into(), value: Some(tensor) }];
    PredictRequest { inputs, ..PredictRequest::default() }.encode_to_vec()
}

#[test]
fn many_empty_submessages_are_refused_before_they_are_made() {
    // An input of no bytes, a hundred thousand times: 200 kB that would become 40 MB.
    for (message, entry) in [(&PREDICT, b"\x12\0"), (&MODEL_INFER, b"\x2a\0")] {
        let refused = check(message, &entry.repeat(100_000)).unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let begins = "the message of 200000 bytes would take more than 5794304 bytes";
        assert!(refused.message().starts_with(begins), "{refused}");
    }
}

#[test]
fn dimensions_and_parameters_are_counted_too() {
    let dims = b"\x12\0".repeat(1_000_000);
    let mut shape = vec![0x12];
    prost::encoding::encode_varint(dims.len() as u64, &mut shape);
    shape.extend(dims);
    let mut value = vec![0x12];
    prost::encoding::encode_varint(shape.len() as u64, &mut value);
    value.extend(shape);
    let mut entry = vec![0x12];
    prost::encoding::encode_varint(value.len() as u64, &mut entry);
    entry.extend(value);
    assert_eq!(check(&PREDICT, &entry).unwrap_err().code(), Code::ResourceExhausted);
    let parameters = b"\x22\0".repeat(1_000_000);
    assert_eq!(check(&MODEL_INFER, &parameters).unwrap_err().code(), Code::ResourceExhausted);
}

#[test]
fn lists_of_small_numbers_and_of_short_strings_pass() {
    let numbers = TensorProto { int64_val: vec![1; 3_000_000], ..TensorProto::default() };
    accepted(&PREDICT, &predict(numbers));
    let words =
        TensorProto { string_val: vec![Bytes::from_static(b"ab"); 1_000_000], ..TensorProto::default() };
    accepted(&PREDICT, &predict(words));
}

#[test]
fn thousands_of_named_inputs_pass() {
    let input = InferInputTensor {
        name: "feature".into(),
        datatype: "FP32".into(),
        shape: vec![1],
        ..InferInputTensor::default()
    };
    let inputs = vec![input; 10_000];
    let raw_input_contents = vec![Bytes::from_static(&[0; 4]); 10_000];
    let request = ModelInferRequest { inputs, raw_input_contents, ..ModelInferRequest::default() };
    accepted(&MODEL_INFER, &request.encode_to_vec());
}

#[test]
fn a_message_cut_off_anywhere_inside_a_field_is_refused() {
    let floats = TensorProto { float_val: vec![1.0; 4], ..TensorProto::default() };
    let whole = predict(floats);
    accepted(&PREDICT, &whole);
    for length in 1..whole.len() {
        let refused = check(&PREDICT, &whole[..length]).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{length}");
    }
}

#[test]
fn a_length_beyond_the_message_and_a_group_are_refused() {
    for wrong in [&b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..], b"\x13\x14", b"\x0f", b"\x80"] {
        assert_eq!(check(&PREDICT, wrong).unwrap_err().code(), Code::InvalidArgument, "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_the_guard(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for message in [&PREDICT, &GET_MODEL_METADATA, &GET_MODEL_STATUS, &MODEL_READY, &MODEL_INFER, &EMPTY] {
            let _ = check(message, &bytes);
        }
    }

    #[test]
    fn what_the_guard_calls_malformed_the_decoder_refuses_too(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Err(refused) = check(&MODEL_INFER, &bytes) && refused.code() == Code::InvalidArgument {
            // But for groups, which the decoder skips and no client sends.
            let is_group = bytes.iter().any(|byte| matches!(byte & 7, 3 | 4));
            prop_assert!(is_group || ModelInferRequest::decode(&bytes[..]).is_err());
        }
    }
}
