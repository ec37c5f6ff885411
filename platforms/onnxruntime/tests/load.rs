//! What is loaded, and what is refused with which words.
#![cfg(test)]

mod common;

use std::path::Path;

use common::{fixtures, library, load, load_fixture, options, run, tensor, text, with};
use salver_core_platform::{CancelFlag, LoadRequest, OptionValue, Platform, Probe};
use salver_core_servable::{ServableId, Version};
use salver_core_status::{Code, Status};
use salver_platforms_onnxruntime::{LibrarySearch, OnnxRuntime};

#[track_caller]
fn refused(result: Result<Box<dyn salver_core_platform::Model>, Status>, code: Code, words: &[&str]) {
    let status = result.err().expect("the load succeeded");
    assert_eq!(status.code(), code, "{status}");
    for word in words {
        assert!(status.message().contains(word), "`{word}` is not in: {status}");
    }
    assert!(!status.message().contains('\n') && status.message().len() < 2000, "{status}");
}

#[test]
fn outputs_that_are_no_tensors_are_left_out_and_inputs_that_are_none_refused() {
    let Some(library) = library() else { return };
    let options = options(&library);
    let model = load_fixture("sequence_output.onnx", &options).unwrap();
    let outputs: Vec<_> =
        model.signatures().get("").unwrap().1.outputs.iter().map(|o| o.name.clone()).collect();
    assert_eq!(outputs, ["y"]);
    let x = tensor(&[2], vec![1f32, 2.0]);
    assert_eq!(run(&*model, &[("x", &x)], &[]).unwrap(), [tensor(&[2], vec![-1f32, -2.0])]);
    let none = load_fixture("sequence_only.onnx", &options);
    refused(none, Code::Unimplemented, &["sequence_only.onnx", "none of the 1 outputs is a tensor"]);
    let input = load_fixture("sequence_input.onnx", &options);
    refused(input, Code::Unimplemented, &["sequence_input.onnx", "input `all` is a sequence"]);
}

#[test]
fn an_element_type_without_kernels_is_refused_in_onnx_runtime_s_words() {
    let Some(library) = library() else { return };
    for file in ["identity/COMPLEX64.onnx", "identity/COMPLEX128.onnx"] {
        refused(load_fixture(file, &options(&library)), Code::FailedPrecondition, &[file, "complex"]);
    }
}

#[test]
fn a_directory_called_model_onnx_holds_the_model_and_its_weights() {
    let Some(library) = library() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("model.onnx");
    std::fs::create_dir(&folder).unwrap();
    for file in ["model.onnx", "weights.bin"] {
        std::fs::copy(fixtures().join("external").join(file), folder.join(file)).unwrap();
    }
    for prepacking in [true, false] {
        let options = with(&options(&library), "prepacking", OptionValue::Bool(prepacking));
        let model = load(directory.path(), &options).unwrap();
        let x = tensor(&[1, 4], vec![1f32; 4]);
        assert_eq!(run(&*model, &[("x", &x)], &[]).unwrap(), [tensor(&[1, 4], vec![1f32, 2.0, 3.0, 4.0])]);
    }
}

#[test]
fn a_damaged_file_and_a_missing_one_are_told_apart_and_named() {
    let Some(library) = library() else { return };
    let directory = tempfile::tempdir().unwrap();
    let options = options(&library);
    refused(load(directory.path(), &options), Code::NotFound, &["no `*.onnx` file"]);
    let missing = load(directory.path(), &with(&options, "file", text("x.onnx")));
    refused(missing, Code::NotFound, &["x.onnx"]);
    std::fs::write(directory.path().join("model.onnx"), b"\xffnot a model\n").unwrap();
    refused(load(directory.path(), &options), Code::DataLoss, &["model.onnx"]);
}

#[test]
fn a_device_that_is_not_there_is_refused_and_not_replaced() {
    let Some(library) = library() else { return };
    let cuda = load_fixture("two.onnx", &with(&options(&library), "device", text("cuda:0")));
    refused(cuda, Code::FailedPrecondition, &["two.onnx", "CUDA"]);
}

#[test]
fn every_option_is_taken_and_an_unknown_one_refused() {
    let Some(library) = library() else { return };
    let options = options(&library);
    let settings = [
        ("device", text("cpu")),
        ("intra_op_threads", OptionValue::Int(2)),
        ("inter_op_threads", OptionValue::Int(2)),
        ("execution_mode", text("parallel")),
        ("graph_optimization", text("disable")),
        ("spinning", OptionValue::Bool(true)),
        ("memory_arena", OptionValue::Bool(true)),
        ("prepacking", OptionValue::Bool(false)),
        ("session_config.session.set_denormal_as_zero", OptionValue::Bool(true)),
    ];
    let x = tensor(&[1, 2], vec![1f32, 2.0]);
    for (name, value) in settings {
        let model = load_fixture("two.onnx", &with(&options, name, value)).unwrap();
        assert_eq!(
            run(&*model, &[("a", &x), ("b", &x)], &["sum"]).unwrap(),
            [tensor(&[1, 2], vec![2f32, 4.0])]
        );
    }
    let unknown = load_fixture("two.onnx", &with(&options, "treads", OptionValue::Int(1)));
    refused(unknown, Code::InvalidArgument, &["unknown option `treads`"]);
}

#[test]
fn a_process_has_one_onnx_runtime() {
    let Some(library) = library() else { return };
    load_fixture("two.onnx", &options(&library)).unwrap();
    let other = load_fixture("two.onnx", &options(Path::new("/no/such.so")));
    refused(other, Code::FailedPrecondition, &["is open", "/no/such.so"]);
}

#[test]
fn a_load_that_is_no_longer_wanted_is_given_up() {
    let Some(library) = library() else { return };
    let (id, cancel) = (ServableId::new("m", Version::new(1).unwrap()), CancelFlag::new());
    cancel.cancel();
    let (directory, options) = (fixtures().join("external"), options(&library));
    let request = LoadRequest {
        id: &id,
        directory: &directory,
        options: &options,
        cancel: cancel.watch(),
        batcher: salver_core_platform::unbatched(),
    };
    refused(OnnxRuntime::new(LibrarySearch::new()).load(&request), Code::Cancelled, &[]);
}

#[test]
fn a_directory_is_recognised_by_its_model() {
    let platform = OnnxRuntime::new(LibrarySearch::new());
    assert_eq!(platform.probe(&fixtures().join("external")), Probe::Match { file: "model.onnx".to_owned() });
    let several = "9 `*.onnx` files, none of them `model.onnx`".to_owned();
    assert_eq!(platform.probe(&fixtures()), Probe::NoMatch { reason: several });
}
