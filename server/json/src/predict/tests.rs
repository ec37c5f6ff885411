use super::*;
use crate::write_predictions;
use proptest::prelude::*;
use salver_core_signature::ShapeSpec;
use salver_core_tensor::{Shape, Strings};

fn signature(inputs: &[(&str, DType)]) -> Signature {
    let spec = |&(name, dtype): &(&str, DType)| TensorSpec::new(name, dtype, ShapeSpec::any());
    Signature::predict(inputs.iter().map(spec).collect(), Vec::new())
}

fn read(inputs: &[(&str, DType)], body: &str) -> Result<Vec<(String, Tensor)>, Status> {
    PredictRequest::read(body.as_bytes())?.inputs(&signature(inputs))
}

/// The inputs, written as an answer in column form.
#[track_caller]
fn check(inputs: &[(&str, DType)], body: &str, expected: &str) {
    let tensors = read(inputs, body).unwrap();
    let views: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let written = write_predictions(Form::Column, &views).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), format!("{{\"outputs\":{expected}}}"));
}

#[track_caller]
fn refused(inputs: &[(&str, DType)], body: &str, message: &str) {
    let error = read(inputs, body).unwrap_err();
    assert_eq!(error.message(), message);
}

const X: &[(&str, DType)] = &[("x", DType::F32)];
const S: &[(&str, DType)] = &[("s", DType::String)];
const AB: &[(&str, DType)] = &[("a", DType::I32), ("b", DType::String)];

#[test]
fn rows_of_a_single_input_are_values_lists_or_objects() {
    check(X, r#"{"instances": [1, 2.5, -3e2]}"#, "[1.0,2.5,-300.0]");
    check(X, r#"{"instances": [[1, 2], [3, 4]]}"#, "[[1.0,2.0],[3.0,4.0]]");
    check(X, r#"{"instances": [{"x": 1}, {"x": 2}]}"#, "[1.0,2.0]");
    check(S, r#"{"instances": ["a", {"b64": "Yg=="}]}"#, r#"["a","b"]"#);
    check(S, r#"{"instances": [{"s": "a"}, {"s": {"b64": "Yg=="}}]}"#, r#"["a","b"]"#);
}

#[test]
fn base64_is_bytes_even_where_the_input_has_its_name() {
    let b64 = &[("b64", DType::String)];
    check(b64, r#"{"instances": [{"b64": "Yg=="}]}"#, r#"["b"]"#);
    check(b64, r#"{"instances": [{"b64": {"b64": "Yg=="}}]}"#, r#"["b"]"#);
    check(b64, r#"{"instances": [{"b64": ["a"]}]}"#, r#"[["a"]]"#);
    check(b64, r#"{"inputs": {"b64": "Yg=="}}"#, r#""b""#);
    check(b64, r#"{"inputs": {"b64": ["a"]}}"#, r#"["a"]"#);
    check(b64, r#"{"inputs": {"b64": "Yg==", "ignored": 1}}"#, r#""Yg==""#);
    check(&[("b64", DType::F32)], r#"{"instances": [{"b64": 1}]}"#, "[1.0]");
}

#[test]
fn a_byte_order_mark_is_passed_over_and_counted() {
    check(X, "\u{feff}{\"instances\": [1]}", "[1.0]");
    refused(X, "\u{feff}{\"instances\": [null]}", "instance 0: found null at byte 18, wanted a number");
    refused(X, "\u{feff}\u{feff}{}", "JSON Parse error: Invalid value at byte 3: wanted an object");
}

#[test]
fn rows_of_several_inputs_are_objects_with_exactly_their_names() {
    check(
        AB,
        r#"{"instances": [{"a": [1, 2], "b": "x"}, {"b": "y", "a": [3, 4]}]}"#,
        r#"{"a":[[1,2],[3,4]],"b":["x","y"]}"#,
    );
    refused(AB, r#"{"instances": [{"a": 1}]}"#, "instance 0: input `b` is missing");
    refused(AB, r#"{"instances": [{"a": 1, "b": "x"}, {"a": 1}]}"#, "instance 1: input `b` is missing");
    refused(
        AB,
        r#"{"instances": [{"a": 1, "b": "x", "c": 1}]}"#,
        "instance 0: `c` is none of the signature's inputs",
    );
    refused(AB, r#"{"instances": [{"a": 1, "a": 2, "b": ""}]}"#, "instance 0: input `a` is there twice");
    refused(
        AB,
        r#"{"instances": [1]}"#,
        "instance 0: found a number at byte 15, wanted an object, since the signature has several inputs",
    );
}

#[test]
fn an_optional_input_is_in_every_row_or_in_none() {
    let mut signature = signature(AB);
    signature.inputs[1].is_optional = true;
    let read = |body: &str| PredictRequest::read(body.as_bytes())?.inputs(&signature);
    assert_eq!(read(r#"{"instances": [{"a": 1}, {"a": 2}]}"#).unwrap().len(), 1);
    assert_eq!(read(r#"{"instances": [{"a": 1, "b": ""}]}"#).unwrap().len(), 2);
    let error = read(r#"{"instances": [{"a": 1}, {"a": 2, "b": ""}]}"#).unwrap_err();
    assert_eq!(error.message(), "instance 1: input `b` is not in the instances before");
    let error = read(r#"{"instances": [{"a": 1, "b": ""}, {"a": 2}]}"#).unwrap_err();
    assert_eq!(error.message(), "instance 1: input `b` is missing");
}

#[test]
fn rows_are_alike() {
    refused(X, r#"{"instances": []}"#, "`instances` is empty, wanted one instance or more");
    refused(X, r#"{"instances": 1}"#, "`instances`: found a number at byte 14, wanted a list");
    refused(
        X,
        r#"{"instances": [1, {"x": 1}]}"#,
        "instance 1 at byte 18: some instances are objects and some are plain values",
    );
    refused(
        X,
        r#"{"instances": [[1, 2], [3]]}"#,
        "instance 1: Encountered list at unexpected size: 1 at byte 23 level 0, expected 2",
    );
    refused(
        X,
        r#"{"instances": [[1], 2]}"#,
        "instance 1: value at byte 20 found at incorrect level: lists nest unevenly",
    );
}

#[test]
fn columns_are_values_lists_or_an_object_of_them() {
    check(X, r#"{"inputs": 1}"#, "1.0");
    check(X, r#"{"inputs": [[1], [2]]}"#, "[[1.0],[2.0]]");
    check(X, r#"{"inputs": {"x": [1], "ignored": [{"a": null}]}}"#, "[1.0]");
    check(S, r#"{"inputs": {"b64": "Yg=="}}"#, r#""b""#);
    check(AB, r#"{"inputs": {"b": "x", "a": [1, 2, 3]}}"#, r#"{"b":"x","a":[1,2,3]}"#);
    refused(AB, r#"{"inputs": {"a": 1, "a": 1}}"#, "input `a`: is there twice");
    refused(
        AB,
        r#"{"inputs": [1]}"#,
        "`inputs`: found a list at byte 11, wanted an object, since the signature has several inputs",
    );
}

#[test]
fn exactly_one_form_is_used() {
    refused(X, "{}", "neither `instances` nor `inputs` is there, wanted one of them");
    let second = "wanted exactly one of `instances` and `inputs`, found a second at byte 29";
    refused(X, r#"{"instances": [1], "inputs": 1}"#, second);
    refused(X, r#"{"instances":[1],"instances": [1]}"#, second.replace("29", "30").as_str());
    refused(X, "[]", "found a list at byte 0, wanted an object");
    refused(
        X,
        r#"{"signature_name": 1}"#,
        "'signature_name' key must be a string value: found a number at byte 19, wanted a string",
    );
    refused(X, "", "JSON Parse error: The document is empty");
    refused(X, r#"{"instances": [1"#, "JSON Parse error: Invalid value at byte 16: EOF while parsing a list");
}

#[test]
fn other_keys_and_bytes_after_the_object_are_ignored() {
    let body = br#" {"foo": {"bar": [NaN]}, "instances": [1], "signature_name": "sig"} trailing"#;
    let request = PredictRequest::read(body).unwrap();
    assert_eq!(request.signature_name(), "sig");
    assert_eq!(request.inputs(&signature(X)).unwrap().len(), 1);
}

#[test]
fn element_types_come_from_the_signature() {
    check(
        &[("x", DType::F16)],
        r#"{"inputs": [1, 0.5, NaN, -Infinity, Inf]}"#,
        "[1.0,0.5,NaN,-Infinity,Infinity]",
    );
    check(&[("x", DType::BF16)], r#"{"inputs": 2}"#, "2.0");
    check(&[("x", DType::U16)], r#"{"inputs": [65535]}"#, "[65535]");
    check(&[("x", DType::U64)], r#"{"inputs": [18446744073709551615]}"#, "[18446744073709551615]");
    check(&[("x", DType::Bool)], r#"{"inputs": [true, false]}"#, "[true,false]");
    refused(
        &[("x", DType::U8)],
        r#"{"inputs": [256]}"#,
        "input `x`: 256 at byte 12 is out of the range of UINT8",
    );
    refused(
        &[("x", DType::I32)],
        r#"{"inputs": [1.0]}"#,
        "input `x`: found a number with a fraction or an exponent at byte 12, wanted an integer",
    );
    let error = read(&[("x", DType::C64)], r#"{"inputs": [1.0]}"#).unwrap_err();
    assert_eq!(error, Status::unimplemented("input `x`: COMPLEX64 elements have no JSON form"));
}

#[test]
fn bombs_are_refused() {
    let nested = format!("{{\"inputs\": {}", "[".repeat(1_000_000));
    refused(X, &nested, "JSON nesting depth exceeds maximum allowed limit (100)");
    let digits = format!("{{\"inputs\": {}}}", "9".repeat(10_000_000));
    // TensorFlow Serving's float overflow: infinite.
    check(X, &digits, "Infinity");
    let strings = format!("{{\"inputs\": [{}\"\"]}}", "\"\",".repeat(1_000_000));
    refused(X, &strings, "input `x`: found a string at byte 12, wanted a number");
    let keys = format!("{{{}\"inputs\": 1}}", "\"a\":1,".repeat(1_000_000));
    check(X, &keys, "1.0");
    let name = format!("{{\"instances\": [{{\"{}\": 1}}]}}", "n".repeat(10_000_000));
    let error = read(X, &name).unwrap_err();
    assert!(error.message().len() < 300, "a name of any length makes a short message");
}

fn tensors() -> impl Strategy<Value = Tensor> {
    let shape = prop::collection::vec(0i64..4, 0..4).prop_map(|dims| Shape::new(&dims).unwrap());
    let floats = shape.clone().prop_flat_map(|shape| {
        prop::collection::vec(any::<f32>(), shape.element_count())
            .prop_map(move |values| Tensor::from_vec(shape.clone(), values).unwrap())
    });
    let integers = shape.clone().prop_flat_map(|shape| {
        prop::collection::vec(any::<i64>(), shape.element_count())
            .prop_map(move |values| Tensor::from_vec(shape.clone(), values).unwrap())
    });
    let strings = shape.prop_flat_map(|shape| {
        let element = prop::collection::vec(any::<u8>(), 0..8);
        prop::collection::vec(element, shape.element_count()).prop_map(move |values| {
            Tensor::from_strings(shape.clone(), values.iter().collect::<Strings>()).unwrap()
        })
    });
    prop_oneof![floats, integers, strings]
}

/// A list that is empty has no more dimensions after it, as far as JSON can tell.
fn as_json_tells(shape: &Shape) -> Vec<i64> {
    let end = shape.dims().iter().position(|dim| *dim == 0).map_or(shape.rank(), |axis| axis + 1);
    shape.dims()[..end].to_vec()
}

proptest! {
    #[test]
    fn what_is_written_as_a_column_reads_back(tensor in tensors(), in_base64: bool) {
        let name = if in_base64 { "x_bytes" } else { "x" };
        let written = write_predictions(Form::Column, &[(name, tensor.view())]).unwrap();
        let body = String::from_utf8(written).unwrap().replacen("outputs", "inputs", 1);
        let inputs = read(&[(name, tensor.dtype())], &body).unwrap();
        prop_assert_eq!(inputs[0].1.shape().dims(), as_json_tells(tensor.shape()));
        prop_assert_eq!(inputs[0].1.view().bytes(), tensor.view().bytes());
        prop_assert_eq!(inputs[0].1.view().strings(), tensor.view().strings());
    }

    #[test]
    fn what_is_written_as_rows_reads_back(rows in 1i64..4, values in prop::collection::vec(any::<f64>(), 12)) {
        let (a, b) = (Shape::new(&[rows, 2, 2]).unwrap(), Shape::new(&[rows]).unwrap());
        let a = Tensor::from_vec(a.clone(), values[..a.element_count()].to_vec()).unwrap();
        let b = Tensor::from_vec(b, values[..rows as usize].iter().map(|x| x.to_bits()).collect()).unwrap();
        let written = write_predictions(Form::Row, &[("a", a.view()), ("b", b.view())]).unwrap();
        let body = String::from_utf8(written).unwrap().replacen("predictions", "instances", 1);
        let inputs = read(&[("a", DType::F64), ("b", DType::U64)], &body).unwrap();
        prop_assert_eq!(&inputs[0].1, &a);
        prop_assert_eq!(&inputs[1].1, &b);
    }

    #[test]
    fn no_text_panics(text in r#"\{"(instances|inputs)":[\[\]{},:"0-9eE+.\-InfinityNabx64s \\u]{0,40}\}?"#) {
        for inputs in [X, S, AB] {
            let _ = read(inputs, &text);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = PredictRequest::read(&bytes);
    }
}
