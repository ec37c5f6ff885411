use super::*;
use crate::{EncodedResponse, InferResponse, ResponseOutput};
use proptest::prelude::*;
use salver_core_platform::OptionValue;
use salver_core_signature::{ShapeSpec, TensorSpec};
use salver_core_tensor::DType;

fn read(json: &str, tail: &[u8]) -> Result<InferRequest, Status> {
    let body = Bytes::from([json.as_bytes(), tail].concat());
    InferRequest::read(&body, json.len(), "m")
}

/// A request with one input, whose object ends with `rest`.
fn one(rest: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"x",{rest}}}]}}"#)
}

#[track_caller]
fn input(json: &str, tail: &[u8]) -> Tensor {
    let mut request = read(json, tail).unwrap();
    let (name, tensor) = request.inputs.pop().unwrap();
    assert_eq!(name, "x");
    tensor
}

#[track_caller]
fn refused(json: &str, tail: &[u8], message: &str) {
    let error = read(json, tail).unwrap_err();
    assert_eq!(error, Status::invalid_argument(message));
}

fn i32s(values: &[i32]) -> Tensor {
    Tensor::from_vec(Shape::new(&[values.len() as i64]).unwrap(), values.to_vec()).unwrap()
}

#[test]
fn data_may_be_flat_or_nested_and_come_before_its_type() {
    let expected = Tensor::from_vec(Shape::new(&[2, 2]).unwrap(), vec![1i32, 2, 3, 4]).unwrap();
    for rest in [
        r#""shape":[2,2],"datatype":"INT32","data":[1,2,3,4]"#,
        r#""shape":[2,2],"datatype":"INT32","data":[[1,2],[3,4]]"#,
        r#""data":[[1,2],[3,4]],"datatype":"INT32","shape":[2,2],"unknown":{"a":[]}"#,
    ] {
        assert_eq!(input(&one(rest), b""), expected, "{rest}");
    }
    let scalar = input(&one(r#""shape":[],"datatype":"FP64","data":[Infinity]"#), b"");
    assert_eq!(scalar.view().as_slice::<f64>(), Ok(&[f64::INFINITY][..]));
    let strings = input(&one(r#""shape":[2],"datatype":"BYTES","data":["a","\u00e9"]"#), b"");
    assert_eq!(strings.strings().unwrap().get(1).unwrap(), "é");
}

#[test]
fn binary_inputs_share_the_body_and_follow_in_order() {
    let json = r#"{"inputs":[
        {"name":"a","shape":[2],"datatype":"UINT8","parameters":{"binary_data_size":2}},
        {"name":"b","shape":[1],"datatype":"INT32","data":[7]},
        {"name":"x","parameters":{"binary_data_size":5},"shape":[1],"datatype":"BYTES"}]}"#;
    let request = read(json, b"\x01\x02\x01\0\0\0z").unwrap();
    assert_eq!(request.inputs[0].1.fixed().unwrap(), &b"\x01\x02"[..]);
    assert_eq!(request.inputs[1].1, i32s(&[7]));
    assert_eq!(request.inputs[2].1.strings().unwrap().get(0).unwrap(), "z");
}

#[test]
fn id_parameters_and_outputs_are_read() {
    let json = r#"{"id":"7","parameters":{"binary_data_output":true,"priority":2,"x":1.5,"s":"t","b":false},
        "inputs":[],"outputs":[{"name":"y"},{"name":"z","parameters":{"binary_data":true,"other":[1]}}]}"#;
    let request = read(json, b"").unwrap();
    assert_eq!(request.id.as_deref(), Some("7"));
    assert_eq!(request.outputs.len(), 2);
    assert_eq!(["y", "z", "other"].map(|name| request.is_binary(name)), [false, true, true]);
    let options: Vec<_> = request.parameters.iter().collect();
    let expected = [
        ("b", &OptionValue::Bool(false)),
        ("priority", &OptionValue::Int(2)),
        ("s", &OptionValue::Text("t".to_owned())),
        ("x", &OptionValue::Float(1.5)),
    ];
    assert_eq!(options, expected);
}

#[test]
fn an_input_that_is_not_as_its_shape_says_is_refused_in_triton_s_words() {
    refused(
        &one(r#""shape":[2],"datatype":"INT32","data":[1]"#),
        b"",
        "input 'x': Shape does not match true shape of 'data' field: wanted 2 elements, found 1",
    );
    refused(
        &one(r#""shape":[2],"datatype":"INT32","data":[1,2,3]"#),
        b"",
        "input 'x': Shape does not match true shape of 'data' field: wanted 2 elements, more at byte 66",
    );
    refused(
        &one(r#""shape":[-1],"datatype":"INT32","data":[1]"#),
        b"",
        "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer",
    );
    for huge in ["[9223372036854775808]", "[9223372036854775807]", "[4294967296,4294967296]"] {
        refused(
            &one(&format!(r#""shape":{huge},"datatype":"INT32","data":[1]"#)),
            b"",
            "Unable to parse 'shape': it causes total element count to exceed maximum size of 9223372036854775807",
        );
    }
    refused(
        &one(r#""shape":[2],"datatype":"INT32","parameters":{"binary_data_size":4}"#),
        b"\0\0\0\0",
        "input byte size mismatch for input 'x' for model 'm'. Expected 8, got 4",
    );
    refused(
        &one(r#""shape":[1],"datatype":"INT32","parameters":{"binary_data_size":4}"#),
        b"\0",
        "unexpected size for input 'x', expecting 3 additional bytes for model 'm'",
    );
    refused(
        &one(r#""shape":[1],"datatype":"INT32","data":[1]"#),
        b"abc",
        "unexpected additional input data for model 'm': 3 bytes",
    );
    refused(
        &one(r#""shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":5}"#),
        b"\x01\0\0\0a",
        "expected 2 string elements for inference input 'x' for model 'm', got 1 that are whole",
    );
    refused(
        &one(r#""shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":6}"#),
        b"\x01\0\0\0ab",
        "unexpected number of string elements for inference input 'x' for model 'm', expecting 1: 1 bytes are left",
    );
}

#[test]
fn an_input_has_exactly_one_source_of_data() {
    let either = "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', \
                  'shared_memory_region' in 'parameters'. But input 'x' set ";
    let rest = r#""shape":[1],"datatype":"INT32""#;
    refused(&one(rest), b"", &format!("{either}no field"));
    let both = format!(r#"{rest},"data":[1],"parameters":{{"binary_data_size":4}}"#);
    refused(&one(&both), b"\0\0\0\0", &format!("{either}two of them"));
    let shared = format!(r#"{rest},"parameters":{{"shared_memory_region":"r"}}"#);
    let error = read(&one(&shared), b"").unwrap_err();
    assert_eq!(error.code().name(), "UNIMPLEMENTED");
    let output = r#"{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":3}}]}"#;
    assert_eq!(read(output, b"").unwrap_err().code().name(), "UNIMPLEMENTED");
}

#[test]
fn a_request_of_a_sequence_is_refused_and_one_of_none_is_not() {
    let of = |id: &str| read(&format!(r#"{{"parameters":{{"sequence_id":{id}}},"inputs":[]}}"#), b"");
    for some in ["7", r#""s""#] {
        assert_eq!(of(some).unwrap_err().code().name(), "UNIMPLEMENTED");
    }
    for none in ["0", r#""""#] {
        assert!(of(none).is_ok());
    }
}

#[test]
fn what_is_missing_or_of_another_kind_is_named() {
    refused(
        r#"{"id":"a"}"#,
        b"",
        "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'",
    );
    refused(r#"{"inputs":{}}"#, b"", "Unable to parse 'inputs': found an object at byte 10, wanted a list");
    refused(
        r#"{"inputs":[{"name":"x"}]}"#,
        b"",
        "Unable to parse 'inputs': the object at byte 11 has no 'shape'",
    );
    refused(
        &one(r#""shape":[1],"datatype":"FP33","data":[1]"#),
        b"",
        "Unable to parse 'datatype': `FP33` is no data type",
    );
    refused(
        &one(r#""shape":[1],"datatype":"FP16","data":[1]"#),
        b"",
        "receiving FP16 data via JSON is not supported. Please use the binary data format for input 'x'",
    );
    refused(
        &one(r#""shape":[1],"datatype":"INT32","data":["1"]"#),
        b"",
        "input 'x': found a string at byte 62, wanted an integer",
    );
    refused(
        r#"{"parameters":{"triton_x":1},"inputs":[]}"#,
        b"",
        "parameter `triton_x`: names that begin with 'triton_' are reserved",
    );
    refused(
        r#"{"inputs":[]} x"#,
        b"",
        "failed to parse the request JSON buffer: JSON Parse error: Invalid value at byte 14: trailing characters",
    );
}

#[test]
fn bombs_are_refused() {
    let deep = one(&format!(r#""shape":[1],"datatype":"INT32","data":{}"#, "[".repeat(1_000_000)));
    let error = read(&deep, b"").unwrap_err();
    assert!(error.message().ends_with("JSON nesting depth exceeds maximum allowed limit (100)"), "{error}");
    let claim = one(r#""shape":[100000000000],"datatype":"FP64","data":[1]"#);
    refused(
        &claim,
        b"",
        "input 'x': Shape does not match true shape of 'data' field: wanted 100000000000 elements, found 1",
    );
    let claim = one(r#""shape":[100000000000],"datatype":"BYTES","parameters":{"binary_data_size":4}"#);
    assert!(read(&claim, b"\0\0\0\0").is_err());
    let dims = one(&format!(r#""shape":[{}1],"datatype":"INT32","data":[1]"#, "1,".repeat(1_000_000)));
    let error = read(&dims, b"").unwrap_err();
    assert_eq!(
        error.message(),
        "Unable to parse 'shape': the shape has 255 dimensions, at most 254 are allowed"
    );
    let name = format!(
        r#"{{"inputs":[{{"name":"{}","shape":[2],"datatype":"INT32","data":[1]}}]}}"#,
        "n".repeat(1 << 24)
    );
    assert!(read(&name, b"").unwrap_err().message().len() < 400);
}

#[test]
fn a_raw_request_takes_its_shape_from_the_signature() {
    let raw = |dtype, dims: &[i64], body: &'static [u8]| {
        let signature =
            Signature::predict(vec![TensorSpec::new("x", dtype, ShapeSpec::of(dims))], Vec::new());
        InferRequest::raw(Bytes::from_static(body), &signature, "m").map(|mut request| {
            assert!(request.is_binary("y"));
            let tensor = request.inputs.remove(0).1;
            tensor.shape().dims().to_vec()
        })
    };
    assert_eq!(raw(DType::U8, &[-1, 2], &[0; 6]), Ok(vec![3, 2]));
    assert_eq!(raw(DType::U8, &[-1, -1, 2], &[0; 6]), Ok(vec![1, 3, 2]));
    assert_eq!(raw(DType::I32, &[2], &[0; 8]), Ok(vec![2]));
    assert_eq!(raw(DType::String, &[-1], b"text"), Ok(vec![1]));
    for (dims, body) in
        [(&[-1, -1, -1][..], &[0; 6][..]), (&[-1, 4], &[0; 6]), (&[2], &[0; 3]), (&[-1, 0], &[0; 1])]
    {
        raw(DType::U8, dims, body).unwrap_err();
    }
    let two = vec![
        TensorSpec::new("x", DType::U8, ShapeSpec::any()),
        TensorSpec::new("y", DType::U8, ShapeSpec::any()),
    ];
    let error = InferRequest::raw(Bytes::new(), &Signature::predict(two, Vec::new()), "m").unwrap_err();
    assert!(error.message().contains("(found 2)"), "{error}");
}

fn respond(outputs: &[(&str, &Tensor, bool)]) -> Result<EncodedResponse, Status> {
    let outputs = outputs
        .iter()
        .map(|(name, tensor, is_binary)| ResponseOutput { name, tensor, is_binary: *is_binary })
        .collect();
    InferResponse { model_name: "m", model_version: "1", id: Some("7"), outputs }.write()
}

#[test]
fn a_response_is_flat_json_or_binary_by_output() {
    let tensor = Tensor::from_vec(Shape::new(&[1, 2]).unwrap(), vec![1.0f32, 0.5]).unwrap();
    let strings = Tensor::from_strings(Shape::new(&[1]).unwrap(), ["a"].into_iter().collect()).unwrap();
    let json = respond(&[("y", &tensor, false)]).unwrap();
    assert_eq!(json.tail, None);
    assert_eq!(
        String::from_utf8(json.json).unwrap(),
        r#"{"model_name":"m","model_version":"1","id":"7","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1.0,0.5]}]}"#
    );
    let binary = respond(&[("y", &tensor, true), ("s", &strings, true), ("t", &strings, false)]).unwrap();
    assert_eq!(
        String::from_utf8(binary.json).unwrap(),
        r#"{"model_name":"m","model_version":"1","id":"7","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}},{"name":"s","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}},{"name":"t","datatype":"BYTES","shape":[1],"data":["a"]}]}"#
    );
    assert_eq!(binary.tail.unwrap(), [tensor.fixed().unwrap(), &b"\x01\0\0\0a"[..]]);
}

#[test]
fn an_output_without_a_json_form_is_refused() {
    let half = Tensor::from_vec(Shape::scalar(), vec![salver_core_tensor::f16::ONE]).unwrap();
    let error = respond(&[("y", &half, false)]).unwrap_err();
    assert_eq!(
        error.message(),
        "sending FP16 data via JSON is not supported. Please use the binary data format for output 'y'"
    );
    assert!(respond(&[("y", &half, true)]).is_ok());
    let bytes = Tensor::from_strings(Shape::scalar(), [b"\xff"].into_iter().collect()).unwrap();
    assert!(respond(&[("y", &bytes, false)]).is_err());
}

proptest! {
    #[test]
    fn what_a_response_says_reads_back_as_a_request(
        floats in prop::collection::vec(any::<f32>(), 0..20),
        strings in prop::collection::vec(any::<String>(), 0..5),
        binary: [bool; 2],
    ) {
        let floats = Tensor::from_vec(Shape::new(&[floats.len() as i64]).unwrap(), floats).unwrap();
        let shape = Shape::new(&[strings.len() as i64]).unwrap();
        let strings = Tensor::from_strings(shape, strings.iter().collect()).unwrap();
        let written = respond(&[("a", &floats, binary[0]), ("b", &strings, binary[1])]).unwrap();
        let json = String::from_utf8(written.json).unwrap().replacen("outputs", "inputs", 1);
        let request = read(&json, &written.tail.unwrap_or_default().concat()).unwrap();
        prop_assert_eq!(request.inputs, [("a".to_owned(), floats), ("b".to_owned(), strings)]);
    }

    #[test]
    fn no_text_panics(
        rest in r#"("(shape|datatype|data|parameters)":([\[\]{}0-9,"a-z.-]{0,12}|"INT32"|"BYTES"|\[[0-9,]{0,5}\]|\{"binary_data_size":[0-9]\}),?){0,4}"#,
        tail in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let _ = read(&one(&rest), &tail);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..80) {
        let _ = InferRequest::read(&bytes.into(), at, "m");
    }
}
