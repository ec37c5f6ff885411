//! What a loaded model answers.
#![cfg(test)]

mod common;

use common::{fixtures, library, load, load_fixture, options, run, tensor};
use salver_core_platform::{CancelFlag, Model, RunContext, RunRequest};
use salver_core_status::Code;
use salver_core_tensor::{DType, Shape, Strings, Tensor};

#[test]
fn every_element_type_passes_unchanged_at_every_size() {
    let Some(library) = library() else { return };
    let refused = |dtype: DType| matches!(dtype, DType::C64 | DType::C128);
    let ours =
        |dtype: &DType| fixtures().join(format!("identity/{dtype}.onnx")).is_file() && !refused(*dtype);
    let dtypes: Vec<DType> = DType::ALL.into_iter().filter(ours).collect();
    assert_eq!(dtypes.len(), 18);
    for dtype in dtypes {
        let model = load_fixture(&format!("identity/{dtype}.onnx"), &options(&library)).unwrap();
        let (_, signature) = model.signatures().get("").unwrap();
        assert_eq!((signature.inputs[0].dtype, signature.inputs[0].shape.dims()), (dtype, Some(&[-1][..])));
        for count in [0, 1, 5, 1000] {
            let shape = Shape::new(&[count]).unwrap();
            let x = match dtype.size() {
                // Any pattern of bits is a value of every type but BOOL.
                Some(size) => {
                    let bytes = (0..shape.element_count() * size).map(|byte| (byte % 251) as u8);
                    let bytes = bytes.map(|byte| if dtype == DType::Bool { byte & 1 } else { byte });
                    Tensor::from_bytes(dtype, shape, bytes.collect::<Vec<u8>>().into()).unwrap()
                }
                None => {
                    let strings = (0..count).map(|i| [&b"\0\xff"[..], &vec![b'x'; i as usize]].concat());
                    let strings: Strings = strings.chain([Vec::new()]).take(count as usize).collect();
                    Tensor::from_strings(shape, strings).unwrap()
                }
            };
            assert_eq!(run(&*model, &[("x", &x)], &[]).unwrap(), [x], "{dtype}");
        }
    }
}

#[test]
fn an_empty_string_and_no_strings_pass() {
    let Some(library) = library() else { return };
    let model = load_fixture("identity/BYTES.onnx", &options(&library)).unwrap();
    for elements in [vec![""], vec!["", "", "a", ""], vec![]] {
        let shape = Shape::new(&[elements.len() as i64]).unwrap();
        let x = Tensor::from_strings(shape, elements.into_iter().collect()).unwrap();
        assert_eq!(run(&*model, &[("x", &x)], &[]).unwrap(), [x]);
    }
}

#[test]
fn outputs_come_in_the_order_asked_for_and_no_others() {
    let Some(library) = library() else { return };
    let model = load_fixture("two.onnx", &options(&library)).unwrap();
    let (a, b) = (tensor(&[1, 2], vec![5f32, 7.0]), tensor(&[1, 2], vec![1f32, 2.0]));
    let (sum, difference) = (tensor(&[1, 2], vec![6f32, 9.0]), tensor(&[1, 2], vec![4f32, 5.0]));
    let inputs = [("b", &b), ("a", &a)];
    assert_eq!(run(&*model, &inputs, &[]).unwrap(), [sum.clone(), difference.clone()]);
    assert_eq!(run(&*model, &inputs, &["difference", "sum"]).unwrap(), [difference.clone(), sum]);
    assert_eq!(run(&*model, &inputs, &["difference"]).unwrap(), [difference]);
}

#[test]
fn a_scalar_is_an_input_of_no_dimensions() {
    let Some(library) = library() else { return };
    let model = load_fixture("scalar.onnx", &options(&library)).unwrap();
    assert_eq!(model.signatures().get("").unwrap().1.inputs[1].shape.dims(), Some(&[][..]));
    let (x, rate) = (tensor(&[2], vec![1f32, 2.0]), tensor(&[], vec![3i64]));
    assert_eq!(run(&*model, &[("x", &x), ("rate", &rate)], &[]).unwrap(), [tensor(&[2], vec![3f32, 6.0])]);
}

#[test]
fn an_input_with_an_initialiser_may_be_left_out() {
    let Some(library) = library() else { return };
    let model = load_fixture("optional.onnx", &options(&library)).unwrap();
    let (x, bias) = (tensor(&[1], vec![1f32]), tensor(&[1], vec![2f32]));
    assert_eq!(run(&*model, &[("x", &x)], &[]).unwrap(), [tensor(&[1], vec![1.5f32])]);
    assert_eq!(run(&*model, &[("x", &x), ("bias", &bias)], &[]).unwrap(), [tensor(&[1], vec![3f32])]);
}

#[test]
fn a_shape_that_only_a_run_can_tell_is_any() {
    let Some(library) = library() else { return };
    let model = load_fixture("reshape.onnx", &options(&library)).unwrap();
    let (_, signature) = model.signatures().get("").unwrap();
    assert_eq!((signature.inputs[0].shape.dims(), signature.outputs[0].shape.dims()), (None, None));
    let x = tensor(&[4], vec![1f32, 2.0, 3.0, 4.0]);
    for dims in [&[2, 2][..], &[4, 1, 1], &[4]] {
        let shape = tensor(&[dims.len() as i64], dims.to_vec());
        assert_eq!(run(&*model, &[("x", &x), ("shape", &shape)], &[]).unwrap()[0].shape().dims(), dims);
    }
}

#[test]
fn a_run_that_fails_is_internal_names_the_model_and_harms_no_other() {
    let Some(library) = library() else { return };
    let model = load_fixture("reshape.onnx", &options(&library)).unwrap();
    let (x, right, wrong) =
        (tensor(&[4], vec![0f32; 4]), tensor(&[1], vec![4i64]), tensor(&[2], vec![3i64, 3]));
    let status = run(&*model, &[("x", &x), ("shape", &wrong)], &[]).unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().starts_with("run failed: "), "{status}");
    assert!(status.message().contains("Reshape") && !status.message().contains('\n'), "{status}");
    assert!(run(&*model, &[("x", &x), ("shape", &right)], &[]).is_ok());
}

#[test]
fn a_shape_that_onnx_runtime_refuses_is_the_caller_s_mistake() {
    let Some(library) = library() else { return };
    let model = load_fixture("two.onnx", &options(&library)).unwrap();
    let wrong = tensor(&[1, 3], vec![0f32; 3]);
    let inputs = [Some(wrong.view()), Some(wrong.view())];
    let context = RunContext::default();
    let request = RunRequest { signature: 0, inputs: &inputs, outputs: &[0], context };
    let status = model.run(&request).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("input: a"), "{status}");
}

#[test]
fn a_request_that_nobody_waits_for_is_not_run() {
    let Some(library) = library() else { return };
    let model = load_fixture("identity/FP32.onnx", &options(&library)).unwrap();
    let x = tensor(&[1], vec![1f32]);
    let cancel = CancelFlag::new();
    cancel.cancel();
    let cancelled = RunContext { cancel: cancel.watch(), ..RunContext::default() };
    let late = RunContext { deadline: Some(std::time::Instant::now()), ..RunContext::default() };
    for (context, code) in [(cancelled, Code::Cancelled), (late, Code::DeadlineExceeded)] {
        let request = RunRequest { signature: 0, inputs: &[Some(x.view())], outputs: &[0], context };
        assert_eq!(model.run(&request).unwrap_err().code(), code);
    }
}

#[test]
fn outputs_outlive_the_model_and_its_inputs_even_where_they_are_its_weights_or_inputs() {
    let Some(library) = library() else { return };
    let model = load_fixture("passthrough.onnx", &options(&library)).unwrap();
    let x = tensor(&[2], vec![1f32, 2.0]);
    let [first, second] = [(); 2].map(|()| run(&*model, &[("x", &x)], &["x", "weight", "y"]).unwrap());
    let address = |tensor: &Tensor| tensor.fixed().unwrap().as_ptr().addr();
    assert_ne!(address(&first[0]), address(&x));
    drop((model, x));
    let wanted = [tensor(&[2], vec![1f32, 2.0]), tensor(&[1], vec![3f32]), tensor(&[2], vec![4f32, 5.0])];
    assert_eq!((&first[..], &second[..]), (&wanted[..], &wanted[..]));
}

#[test]
fn many_threads_run_one_session() {
    let Some(library) = library() else { return };
    let model = load_fixture("two.onnx", &options(&library)).unwrap();
    let model: &dyn Model = &*model;
    std::thread::scope(|scope| {
        for thread in 0..8u16 {
            scope.spawn(move || {
                for round in 0..2000u16 {
                    let (a, b) = (f32::from(thread), f32::from(round));
                    let (left, right) = (tensor(&[1, 2], vec![a, -a]), tensor(&[1, 2], vec![b, b]));
                    let outputs = run(model, &[("a", &left), ("b", &right)], &[]).unwrap();
                    let wanted = [tensor(&[1, 2], vec![a + b, b - a]), tensor(&[1, 2], vec![a - b, -a - b])];
                    assert_eq!(outputs, wanted);
                }
            });
        }
    });
}

#[test]
fn both_versions_of_the_sample_model_read_the_sample_digits() {
    let Some(library) = library() else { return };
    let examples = fixtures().join("../../../../examples");
    let sample = std::fs::read_to_string(examples.join("requests/digits.json")).unwrap();
    let sample: serde_json::Value = serde_json::from_str(&sample).unwrap();
    let list = |value: &serde_json::Value| value.as_array().unwrap().clone();
    let rows = list(&sample["pixels"]);
    let pixels = rows.iter().flat_map(list).map(|pixel| pixel.as_f64().unwrap() as f32).collect();
    let pixels: Tensor = tensor(&[rows.len() as i64, 64], pixels);
    let digits: Vec<i64> = list(&sample["digit"]).iter().map(|digit| digit.as_i64().unwrap()).collect();
    for version in ["1", "2"] {
        let model = load(&examples.join("models/digits").join(version), &options(&library)).unwrap();
        let outputs = run(&*model, &[("pixels", &pixels)], &["digit", "probabilities"]).unwrap();
        assert_eq!(outputs[0].view().as_slice::<i64>().unwrap(), digits, "version {version}");
        assert_eq!(outputs[1].shape().dims(), [rows.len() as i64, 10]);
    }
}
