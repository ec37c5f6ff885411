use super::*;

use proptest::prelude::*;
use salver_core_status::Code;

fn input(datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: "x".into(),
        datatype: datatype.into(),
        shape: shape.into(),
        ..InferInputTensor::default()
    }
}

fn typed(datatype: &str, shape: &[i64], contents: InferTensorContents) -> InferInputTensor {
    InferInputTensor { contents: Some(contents), ..input(datatype, shape) }
}

fn decode(input: InferInputTensor, raw: &[&'static [u8]]) -> Result<Tensor, Status> {
    let raw = raw.iter().map(|raw| Bytes::from_static(raw)).collect();
    let mut tensors = decode_inputs("m", vec![input], raw)?;
    assert_eq!(tensors.len(), 1);
    Ok(tensors.remove(0).1)
}

#[track_caller]
fn refused(input: InferInputTensor, raw: &[&'static [u8]], message: &str) {
    assert_eq!(decode(input, raw).unwrap_err(), Status::invalid_argument(message));
}

#[test]
fn raw_contents_are_shared_and_read_in_the_order_of_the_inputs() {
    let words = Bytes::from_owner([1u8, 2, 3, 4]);
    let inputs = vec![input("UINT8", &[3]), InferInputTensor { name: "y".into(), ..input("UINT8", &[1]) }];
    let tensors = decode_inputs("m", inputs, vec![words.slice(..3), words.slice(3..)]).unwrap();
    assert_eq!((tensors[0].0.as_str(), tensors[1].0.as_str()), ("x", "y"));
    assert_eq!(tensors[0].1.fixed().unwrap().as_ptr(), words.as_ptr());
    assert_eq!(tensors[1].1.view().as_slice::<u8>().unwrap(), [4]);
}

#[test]
fn raw_strings_are_each_after_its_length() {
    let tensor = decode(input("BYTES", &[2]), &[b"\x02\0\0\0hi\0\0\0\0"]).unwrap();
    let strings: Vec<_> = tensor.view().strings().unwrap().iter().collect();
    assert_eq!(strings, [&b"hi"[..], b""]);
}

#[test]
fn typed_contents_of_every_kind_are_read() {
    let contents = InferTensorContents { int_contents: vec![-1, 2], ..Default::default() };
    let tensor = decode(typed("INT8", &[2], contents.clone()), &[]).unwrap();
    assert_eq!(tensor.view().as_slice::<i8>().unwrap(), [-1, 2]);
    let tensor = decode(typed("INT32", &[2], contents), &[]).unwrap();
    assert_eq!(tensor.view().as_slice::<i32>().unwrap(), [-1, 2]);
    let contents = InferTensorContents { bool_contents: vec![true], ..Default::default() };
    assert_eq!(
        decode(typed("BOOL", &[1], contents), &[]).unwrap().view().as_slice::<bool>().unwrap(),
        [true]
    );
    let contents =
        InferTensorContents { bytes_contents: vec!["a".into(), "bc".into()], ..Default::default() };
    let tensor = decode(typed("BYTES", &[2], contents), &[]).unwrap();
    assert_eq!(tensor.view().strings().unwrap().get(1), Some(&b"bc"[..]));
}

#[test]
fn wrong_inputs_are_told_in_triton_s_words() {
    let floats = InferTensorContents { fp32_contents: vec![1.0; 2], ..Default::default() };
    refused(
        typed("FP32", &[2], floats.clone()),
        &[b"\0\0\0\0\0\0\0\0"],
        "contents field must not be specified when using raw_input_contents for 'x' for model 'm'",
    );
    refused(input("FP32", &[2]), &[], "unable to find data for input tensor 'x' for model 'm' in request.");
    refused(
        input("FP32", &[2]),
        &[b"\0\0\0\0"],
        "input byte size mismatch for input 'x' for model 'm'. Expected 8, got 4",
    );
    refused(
        typed("FP32", &[3], floats.clone()),
        &[],
        "input byte size mismatch for input 'x' for model 'm'. Expected 12, got 8",
    );
    refused(
        typed("INT32", &[2], floats.clone()),
        &[],
        "unexpected explicit tensor data for input tensor 'x' for model 'm' of type 'FP32', expected datatype 'INT32'",
    );
    refused(
        typed("FP16", &[2], floats),
        &[],
        "FP16 has no explicit contents, wanted raw_input_contents, for input 'x' for model 'm'",
    );
    refused(
        input("BYTES", &[2]),
        &[b"\x02\0\0\0hi"],
        "expected 2 string elements, and element 1 is cut off, for 'x' for model 'm'",
    );
    refused(
        input("BYTES", &[1]),
        &[b"\x02\0\0\0hi!"],
        "expected 1 string elements, and 1 bytes are left over, for 'x' for model 'm'",
    );
    refused(
        input("FP33", &[1]),
        &[b"\0"],
        "unknown data-type 'FP33', wanted one such as 'FP32' or 'BYTES', for input 'x' for model 'm'",
    );
    refused(
        input("FP32", &[1]),
        &[b"\0\0\0\0", b""],
        "expected at most 1 raw input contents for model 'm', one for each input, got 2",
    );
    let large = InferTensorContents { uint_contents: vec![256], ..Default::default() };
    refused(typed("UINT8", &[1], large), &[], "256 is not a value of UINT8, in input 'x' for model 'm'");
}

#[test]
fn impossible_shapes_are_refused_whatever_the_data() {
    for dims in [&[i64::MAX][..], &[i64::MAX, i64::MAX], &[-1], &[1; 300]] {
        let error = decode(input("BYTES", dims), &[b"\0\0\0\0"]).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{dims:?}");
    }
}

#[test]
fn a_tensor_without_elements_needs_no_data() {
    assert_eq!(decode(input("FP32", &[0, 3]), &[]).unwrap().shape().dims(), [0, 3]);
    assert_eq!(decode(input("BYTES", &[0]), &[]).unwrap().view().len(), 0);
}

#[test]
fn shared_memory_is_refused_and_not_passed_over() {
    use salver_proto::inference::model_infer_request::infer_input_tensor::ParametersEntry;
    let parameters = vec![ParametersEntry { key: "shared_memory_region".into(), value: None }];
    let shared = InferInputTensor { parameters, ..input("FP32", &[1]) };
    assert_eq!(decode(shared, &[]).unwrap_err().code(), Code::Unimplemented);
}

proptest! {
    #[test]
    fn an_output_reads_as_the_input_it_was(elements in prop::collection::vec(any::<f64>(), 0..20)) {
        let shape = Shape::new(&[elements.len() as i64]).unwrap();
        let tensor = Tensor::from_vec(shape, elements).unwrap();
        let (output, raw) = encode_output("x", &tensor).unwrap();
        prop_assert_eq!(raw.as_ptr(), tensor.fixed().unwrap().as_ptr());
        let decoded = decode_inputs("m", vec![input(&output.datatype, &output.shape)], vec![raw]).unwrap();
        prop_assert_eq!(&decoded[0].1, &tensor);
    }

    #[test]
    fn string_outputs_read_as_they_were(elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9)) {
        let shape = Shape::new(&[elements.len() as i64]).unwrap();
        let tensor = Tensor::from_strings(shape, elements.iter().collect()).unwrap();
        let (output, raw) = encode_output("x", &tensor).unwrap();
        let decoded = decode_inputs("m", vec![input(&output.datatype, &output.shape)], vec![raw]).unwrap();
        prop_assert_eq!(&decoded[0].1, &tensor);
    }
}
