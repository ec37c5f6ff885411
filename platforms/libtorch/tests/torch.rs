//! TorchScript modules, loaded and run as the server does.
#![cfg(test)]
#![cfg(not(feature = "check-only"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use salver_core_platform::{
    CancelFlag, Cancellation, LoadRequest, Model, OptionValue, Options, Platform, Probe, RunContext,
    RunRequest,
};
use salver_core_servable::{ServableId, Version};
use salver_core_signature::ShapeSpec;
use salver_core_status::{Code, Status};
use salver_core_tensor::{DType, Element, Shape, Tensor};
use salver_platforms_libtorch::Libtorch;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every test has the same number of threads: libtorch has one for the process.
fn platform() -> Libtorch {
    Libtorch::new(2)
}

fn load_from(directory: &Path, options: &Options) -> Result<Box<dyn Model>, Status> {
    let id = ServableId::new("m", Version::new(3).unwrap());
    platform().load(&LoadRequest {
        id: &id,
        directory,
        options,
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    })
}

fn load(file: &str, signature: &str) -> Result<Box<dyn Model>, Status> {
    let mut options = Options::new();
    options.set("file", OptionValue::Text(file.to_owned()));
    options.set("signature", OptionValue::Text(signature.to_owned()));
    load_from(&fixtures(), &options)
}

fn tensor<T: Element>(dims: &[i64], values: Vec<T>) -> Tensor {
    Tensor::from_vec(Shape::new(dims).unwrap(), values).unwrap()
}

fn run(model: &dyn Model, inputs: &[Option<Tensor>]) -> Result<Vec<Tensor>, Status> {
    let views: Vec<_> = inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
    let outputs: Vec<usize> = (0..model.signatures().as_slice()[0].outputs.len()).collect();
    let context = RunContext::default();
    model.run(&RunRequest { signature: 0, inputs: &views, outputs: &outputs, context })
}

fn output_names(model: &dyn Model) -> Vec<&str> {
    model.signatures().as_slice()[0].outputs.iter().map(|output| output.name.as_str()).collect()
}

const X: &str = r#"inputs = [{ name = "x", dtype = "FP32", shape = [-1, 3] }]"#;

#[test]
fn a_module_with_weights_computes_what_they_say() {
    let model = load("linear.pt", X).unwrap();
    let signature = &model.signatures().as_slice()[0];
    let output = &signature.outputs[0];
    assert_eq!(
        (output.name.as_str(), output.dtype, &output.shape),
        ("output", DType::F32, &ShapeSpec::of(&[-1, -1]))
    );
    let outputs = run(&*model, &[Some(tensor(&[2, 3], vec![1_f32, 0., 0., 0., 1., 1.]))]).unwrap();
    assert_eq!(outputs, [tensor(&[2, 2], vec![1.5_f32, 3.5, 5.5, 10.5])]);
}

#[test]
fn a_tuple_is_several_outputs_by_position_under_the_names_that_are_said() {
    let inputs = r#"inputs = [{ name = "a", dtype = "INT32" }, { name = "b", dtype = "INT32" }]"#;
    let plain = load("pair.pt", inputs).unwrap();
    assert_eq!(output_names(&*plain), ["output_0", "output_1"]);
    let named = format!("{inputs}\noutputs = [{{ name = \"sum\" }}, {{ name = \"product\" }}]");
    let model = load("pair.pt", &named).unwrap();
    assert_eq!(output_names(&*model), ["sum", "product"]);
    let two = |values: Vec<i32>| Some(tensor(&[2], values));
    let outputs = run(&*model, &[two(vec![3, 4]), two(vec![5, 6])]).unwrap();
    assert_eq!(outputs, [tensor(&[2], vec![8_i32, 10]), tensor(&[2], vec![15_i32, 24])]);
}

#[test]
fn a_dictionary_is_several_outputs_by_key() {
    let model = load("dictionary.pt", r#"inputs = [{ name = "x", dtype = "FP64" }]"#).unwrap();
    assert_eq!(output_names(&*model), ["sum", "negative"]);
    let outputs = run(&*model, &[Some(tensor(&[2], vec![1_f64, 2.]))]).unwrap();
    assert_eq!(outputs, [tensor(&[], vec![3_f64]), tensor(&[2], vec![-1_f64, -2.])]);
    let swapped = "inputs = [{ name = \"x\", dtype = \"FP64\" }]\noutputs = [{ name = \"negative\" }]";
    let outputs = run(&*load("dictionary.pt", swapped).unwrap(), &[Some(tensor(&[1], vec![1_f64]))]).unwrap();
    assert_eq!(outputs, [tensor(&[1], vec![-1_f64])]);
    for said in ["name = \"total\"", "name = \"total\", dtype = \"FP64\""] {
        let unknown = format!("inputs = [{{ name = \"x\", dtype = \"FP64\" }}]\noutputs = [{{ {said} }}]");
        let error = load("dictionary.pt", &unknown).err().unwrap();
        assert!(
            error
                .message()
                .contains("an output `total`, but `forward` returns a dictionary of: sum, negative"),
            "{error}"
        );
    }
}

#[test]
fn numbers_are_tensors_of_rank_0_and_those_with_a_default_may_be_left_out() {
    let inputs = r#"inputs = [{ name = "x", dtype = "FP32" }, { name = "scale" }, { name = "times" }]"#;
    let model = load("numbers.pt", inputs).unwrap();
    let x = || Some(tensor(&[1], vec![1_f32]));
    let scale = || Some(tensor(&[], vec![1.5_f64]));
    let outputs = run(&*model, &[x(), scale(), None, None]).unwrap();
    assert_eq!(outputs, [tensor(&[1], vec![3_f32]), tensor(&[], vec![2_i64])]);
    let negate = Tensor::from_bytes(DType::Bool, Shape::scalar(), vec![1].into()).unwrap();
    let outputs = run(&*model, &[x(), scale(), Some(tensor(&[], vec![4_i64])), Some(negate)]).unwrap();
    assert_eq!(outputs, [tensor(&[1], vec![-6_f32]), tensor(&[], vec![4_i64])]);
}

#[test]
fn an_optional_tensor_may_be_left_out() {
    let inputs = r#"inputs = [{ name = "x", dtype = "FP32" }, { name = "bias", dtype = "FP32" }]"#;
    let model = load("optional.pt", inputs).unwrap();
    let one = || tensor(&[1], vec![1_f32]);
    assert_eq!(run(&*model, &[Some(one()), None]).unwrap(), [one()]);
    assert_eq!(run(&*model, &[Some(one()), Some(one())]).unwrap(), [tensor(&[1], vec![2_f32])]);
}

#[test]
fn every_element_type_that_libtorch_has_comes_back_as_it_went() {
    let names = [
        "BOOL",
        "UINT8",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "FP16",
        "BF16",
        "FP32",
        "FP64",
        "COMPLEX64",
        "COMPLEX128",
        "FP8_E4M3FN",
        "FP8_E4M3FNUZ",
        "FP8_E5M2",
        "FP8_E5M2FNUZ",
    ];
    for name in names {
        let model =
            load("identity.pt", &format!("inputs = [{{ name = \"x\", dtype = \"{name}\" }}]")).unwrap();
        let dtype = DType::from_name(name).unwrap();
        for dims in [&[][..], &[0, 3], &[2, 3], &[1, 1, 2, 1, 1, 3, 1, 1]] {
            let shape = Shape::new(dims).unwrap();
            let bytes: Vec<u8> = (0..shape.byte_count(dtype).unwrap()).map(|byte| (byte % 2) as u8).collect();
            let input = Tensor::from_bytes(dtype, shape, bytes.into()).unwrap();
            assert_eq!(run(&*model, &[Some(input.clone())]).unwrap(), [input], "{name} {dims:?}");
        }
    }
}

#[test]
fn what_cannot_be_answered_with_is_said_when_the_module_is_loaded() {
    let error = load("nested.pt", X).err().unwrap();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("`forward` returned a tuple or list inside another"), "{error}");
    let error = load("linear.pt", "").err().unwrap();
    assert!(error.message().contains("the element type of input `x` is not known"), "{error}");
}

#[test]
fn an_output_has_as_many_dimensions_as_an_input_of_any_number_has() {
    let model = load("identity.pt", r#"inputs = [{ name = "x", dtype = "FP32" }]"#).unwrap();
    assert_eq!(model.signatures().as_slice()[0].outputs[0].shape, ShapeSpec::any());
    for dims in [&[][..], &[2], &[1, 2, 1]] {
        let x = tensor(dims, vec![1.0_f32; dims.iter().product::<i64>() as usize]);
        assert_eq!(run(&*model, &[Some(x.clone())]), Ok(vec![x]));
    }
}

#[test]
fn shapes_that_do_not_fit_are_the_request_s_fault_in_a_line() {
    let model = load("linear.pt", r#"inputs = [{ name = "x", dtype = "FP32", shape = [-1, 3] }]"#).unwrap();
    let error = run(&*model, &[Some(tensor(&[2, 4], vec![0_f32; 8]))]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(!error.message().contains('\n') && !error.message().contains("frame #"), "{error}");
}

#[test]
fn files_that_are_no_modules_are_refused_with_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("model.pt");
    let refused = || load_from(directory.path(), &Options::new()).err().unwrap();
    assert_eq!(refused().code(), Code::NotFound);
    std::fs::write(&file, "weights").unwrap();
    let error = refused();
    assert_eq!(error.code(), Code::DataLoss);
    assert!(error.message().contains("model.pt`: not a TorchScript archive"), "{error}");
    let whole = std::fs::read(fixtures().join("linear.pt")).unwrap();
    for length in [10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(refused().code(), Code::DataLoss, "{length} bytes");
    }
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    if tch::utils::has_cuda() {
        println!("skipped: this libtorch has CUDA");
        return;
    }
    let mut options = Options::new();
    options.set("file", OptionValue::Text("identity.pt".to_owned()));
    options.set("signature", OptionValue::Text(X.to_owned()));
    options.set("device", OptionValue::Text("cuda:0".to_owned()));
    let error = load_from(&fixtures(), &options).err().unwrap();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(
        error.message().contains("option `device` is `cuda:0`, but this libtorch is built without CUDA"),
        "{error}"
    );
}

#[test]
fn other_numbers_of_threads_than_the_process_has_are_refused() {
    load("identity.pt", X).unwrap();
    let mut options = Options::new();
    options.set("file", OptionValue::Text("identity.pt".to_owned()));
    options.set("signature", OptionValue::Text(X.to_owned()));
    options.set("intra_op_threads", OptionValue::Int(7));
    let error = load_from(&fixtures(), &options).err().unwrap();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("option `intra_op_threads` is 7"), "{error}");
}

#[test]
fn many_threads_run_one_module_at_once() {
    let model = load("linear.pt", X).unwrap();
    thread::scope(|scope| {
        for client in 0..8 {
            let model = &*model;
            scope.spawn(move || {
                for turn in 0..200 {
                    let x = (client * 1000 + turn) as f32;
                    let outputs = run(model, &[Some(tensor(&[1, 3], vec![x, 0., 0.]))]).unwrap();
                    assert_eq!(outputs, [tensor(&[1, 2], vec![x + 0.5, 4. * x - 0.5])]);
                }
            });
        }
    });
}

#[test]
fn a_run_that_nobody_waits_for_does_not_begin() {
    let model = load("identity.pt", X).unwrap();
    let flag = CancelFlag::new();
    flag.cancel();
    let x = tensor(&[1, 3], vec![0_f32; 3]);
    let context = RunContext { cancel: flag.watch(), ..RunContext::default() };
    let request = RunRequest { signature: 0, inputs: &[Some(x.view())], outputs: &[0], context };
    assert_eq!(model.run(&request).unwrap_err().code(), Code::Cancelled);
}

#[test]
fn a_directory_is_known_by_its_file() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(platform().probe(directory.path()), Probe::NoMatch { .. }));
    std::fs::copy(fixtures().join("identity.pt"), directory.path().join("model.pt")).unwrap();
    assert_eq!(platform().probe(directory.path()), Probe::Match { file: "model.pt".to_owned() });
}

#[test]
fn a_module_has_the_operators_of_the_libraries_that_its_options_name() {
    let folder = tempfile::tempdir().unwrap();
    let operators = folder.path().join("operators.so");
    let libtorch = std::env::var_os("LIBTORCH").expect("where libtorch is, which is linked with");
    let library = Path::new(&libtorch).join("lib/libtorch_cpu.so");
    let source = fixtures().join("operators.c");
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&operators, &source, &library]).status();
    assert!(made.unwrap().success());
    let load = |libraries: Option<&Path>| {
        let mut options = Options::new();
        options.set("file", OptionValue::Text("operator.pt".to_owned()));
        options.set("signature", OptionValue::Text(X.to_owned()));
        if let Some(libraries) = libraries {
            let text = libraries.to_str().unwrap().to_owned();
            options.set("operator_libraries", OptionValue::Text(text));
        }
        load_from(&fixtures(), &options)
    };

    let without = load(None).err().unwrap();
    assert!(without.message().contains("salver::twice"), "{without}");
    let missing = load(Some(Path::new("none.so"))).err().unwrap();
    assert_eq!(missing.code(), Code::FailedPrecondition);
    assert!(missing.message().contains("option `operator_libraries`: there is no file `"), "{missing}");
    // Beside the module, and no library at all.
    let wrong = load(Some(Path::new("operators.c"))).err().unwrap();
    assert_eq!(wrong.code(), Code::FailedPrecondition);
    assert!(wrong.message().contains("invalid ELF header"), "{wrong}");

    // More than once: the process keeps them.
    for _ in 0..2 {
        let model = load(Some(&operators)).unwrap();
        let outputs = run(&*model, &[Some(tensor(&[1, 3], vec![1_f32, -2.0, 0.5]))]).unwrap();
        assert_eq!(outputs, [tensor(&[1, 3], vec![2_f32, -4.0, 1.0])]);
    }
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("operators.so");
    std::fs::copy(&operators, &copy).unwrap();
    let refused = load(Some(&copy)).err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("a process can have one of a name"), "{refused}");
}
