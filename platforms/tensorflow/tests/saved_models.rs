//! SavedModels, loaded and run as the server does.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use salver_core_platform::{
    Cancellation, LoadRequest, Model, OptionValue, Options, Platform, Probe, RunContext, RunRequest,
};
use salver_core_servable::{ServableId, Version};
use salver_core_status::{Code, Status};
use salver_core_tensor::{DType, Element, Shape, Strings, Tensor};
use salver_platforms_tensorflow::{LibrarySearch, TensorFlow};

/// TensorFlow's library, from the environment or where `cargo xtask fetch tensorflow` puts it; `None`, and a printed
/// reason, where it is not there.
fn library() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || variable("SALVER_CACHE").or_else(|| Some(variable("HOME")?.join(".cache/salver")));
    let fetched = || Some(cache()?.join("tensorflow-2.21.0/libtensorflow_cc.so.2"));
    let library = variable("SALVER_TENSORFLOW_LIBRARY").or_else(fetched).filter(|path| path.is_file());
    if library.is_none() {
        println!("skipped: no TensorFlow; `cargo xtask fetch tensorflow` gets it");
    }
    library
}

fn platform() -> &'static TensorFlow {
    static PLATFORM: OnceLock<TensorFlow> = OnceLock::new();
    PLATFORM.get_or_init(|| TensorFlow::new(LibrarySearch::new(), 2))
}

fn load_with(directory: &Path, library: &Path, more: &[(&str, &str)]) -> Result<Box<dyn Model>, Status> {
    let id = ServableId::new("m", Version::new(3).unwrap());
    let mut options = Options::new();
    options.set("library", OptionValue::Text(library.to_string_lossy().into_owned()));
    for (name, value) in more {
        let text = || OptionValue::Text((*value).to_owned());
        options.set(*name, value.parse().map_or_else(|_| text(), OptionValue::Bool));
    }
    platform().load(&LoadRequest {
        id: &id,
        directory,
        options: &options,
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    })
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn load(name: &str, library: &Path) -> Box<dyn Model> {
    load_with(&fixture(name), library, &[]).unwrap()
}

fn tensor<T: Element>(dims: &[i64], values: Vec<T>) -> Tensor {
    Tensor::from_vec(Shape::new(dims).unwrap(), values).unwrap()
}

fn strings(texts: &[&[u8]]) -> Tensor {
    let strings: Strings = texts.iter().collect();
    Tensor::from_strings(Shape::new(&[texts.len() as i64]).unwrap(), strings).unwrap()
}

fn run_in(
    model: &dyn Model,
    signature: &str,
    inputs: &[Tensor],
    context: RunContext<'_>,
) -> Result<Vec<Tensor>, Status> {
    let (index, declared) = model.signatures().get(signature).unwrap();
    let views: Vec<_> = inputs.iter().map(|input| Some(input.view())).collect();
    let outputs: Vec<usize> = (0..declared.outputs.len()).collect();
    model.run(&RunRequest { signature: index, inputs: &views, outputs: &outputs, context })
}

fn run(model: &dyn Model, signature: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, Status> {
    run_in(model, signature, inputs, RunContext::default())
}

/// A serialised `tensorflow.Example` with a feature `x` of one float.
fn example(x: f32) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
    let list = field(1, &x.to_le_bytes());
    let feature = field(2, &list);
    let entry = [field(1, b"x"), field(2, &feature)].concat();
    field(1, &field(1, &entry))
}

#[test]
fn half_plus_two_is_half_plus_two_by_every_signature() {
    let Some(library) = library() else { return };
    let model = load("half_plus_two", &library);
    let x = tensor(&[3, 1], vec![1_f32, 2., 5.]);
    let y = tensor(&[3, 1], vec![2.5_f32, 3., 4.5]);
    assert_eq!(run(&*model, "serving_default", &[x]).unwrap(), std::slice::from_ref(&y));
    assert_eq!(run(&*model, "", &[tensor(&[1, 1], vec![-4_f32])]).unwrap(), [tensor(&[1, 1], vec![0_f32])]);
    let examples: Vec<_> = [1., 2., 5.].map(example).to_vec();
    let examples: Vec<&[u8]> = examples.iter().map(Vec::as_slice).collect();
    for signature in ["regress_x_to_y", "classify_x_to_y"] {
        assert_eq!(run(&*model, signature, &[strings(&examples)]).unwrap(), std::slice::from_ref(&y));
    }
    let methods: Vec<_> = model.signatures().iter().map(|signature| signature.method.as_str()).collect();
    let wanted = ["tensorflow/serving/classify", "tensorflow/serving/regress", "tensorflow/serving/predict"];
    assert_eq!(methods, wanted);
}

#[test]
fn shapes_of_a_signature_hold_nobody_to_them_and_tensors_are_named_as_in_the_graph() {
    let Some(library) = library() else { return };
    let model = load("half_plus_two", &library);
    let (_, signature) = model.signatures().get("").unwrap();
    let (x, y) = (&signature.inputs[0], &signature.outputs[0]);
    assert_eq!([&x.graph_name, &y.graph_name].map(|name| name.as_deref()), [Some("x:0"), Some("y:0")]);
    assert!(x.is_shape_advisory && y.is_shape_advisory);
    assert_eq!(
        run(&*model, "", &[tensor(&[2], vec![1_f32, 2.])]).unwrap(),
        [tensor(&[2], vec![2.5_f32, 3.])]
    );
    let strict = load_with(&fixture("half_plus_two"), &library, &[("check_shapes", "true")]).unwrap();
    assert!(!strict.signatures().get("").unwrap().1.inputs[0].is_shape_advisory);
}

#[test]
fn a_model_may_have_a_state_and_outputs_that_refer_to_it() {
    let Some(library) = library() else { return };
    let model = load("counter", &library);
    let count = |count: f32| Ok(vec![tensor(&[], vec![count])]);
    assert_eq!(run(&*model, "get", &[]), count(0.));
    assert_eq!(run(&*model, "increment", &[]), count(1.));
    assert_eq!(run(&*model, "increment_by", &[tensor(&[], vec![41_f32])]), count(42.));
    assert_eq!(run(&*model, "get", &[]), count(42.));
}

#[test]
fn a_saved_model_of_tensorflow_2_is_served_as_well() {
    let Some(library) = library() else { return };
    let model = load("half_plus_two_v2", &library);
    let names: Vec<_> = model.signatures().iter().map(|signature| signature.name.as_str()).collect();
    assert_eq!(names, ["serving_default"]);
    let y = run(&*model, "", &[tensor(&[2, 1], vec![1_f32, 2.])]).unwrap();
    assert_eq!(y, [tensor(&[2, 1], vec![2.5_f32, 3.])]);
}

#[test]
fn tables_are_initialised_from_their_assets_and_strings_are_of_any_bytes() {
    let Some(library) = library() else { return };
    let model = load("table", &library);
    let outputs = run(&*model, "", &[strings(&[b"two", b"none", b"\0\xff", b""])]).unwrap();
    let numbers = tensor(&[4], vec![2_i64, -1, -1, -1]);
    assert_eq!(outputs, [numbers, strings(&[b"twotwo", b"nonenone", b"\0\xff\0\xff", b""])]);
    let long = vec![b'x'; 100_000];
    let outputs = run(&*model, "", &[strings(&[&long])]).unwrap();
    assert_eq!(outputs[1], strings(&[&[&long[..], &long].concat()]));
}

#[test]
fn every_element_type_and_rank_comes_back_as_it_went() {
    let Some(library) = library() else { return };
    let model = load("identity", &library);
    let mut seen = 0;
    for signature in model.signatures().iter() {
        let dtype = signature.inputs[0].dtype;
        for dims in [&[][..], &[0, 3], &[2, 3], &[1, 1, 2, 1, 1, 3, 1, 1]] {
            let shape = Shape::new(dims).unwrap();
            let input = match shape.byte_count(dtype) {
                Some(size) => {
                    let bytes: Vec<u8> = (0..size).map(|byte| (byte % 2) as u8).collect();
                    Tensor::from_bytes(dtype, shape, bytes.into()).unwrap()
                }
                None => {
                    let elements: Strings =
                        (0..shape.element_count()).map(|index| vec![0xff; index]).collect();
                    Tensor::from_strings(shape, elements).unwrap()
                }
            };
            let output = run(&*model, &signature.name, std::slice::from_ref(&input)).unwrap();
            assert_eq!(output, [input], "{} {dims:?}", signature.name);
        }
        seen += 1;
    }
    assert_eq!(seen, 16);
}

#[test]
fn a_graph_is_chosen_by_its_tags_and_those_that_are_there_are_told() {
    let Some(library) = library() else { return };
    let error = load_with(&fixture("tags"), &library, &[]).err().unwrap();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().starts_with("option `tags` is `serve`, but the graphs in"), "{error}");
    assert!(error.message().ends_with("have: `train`, `gpu,serve`"), "{error}");
    assert!(load_with(&fixture("tags"), &library, &[("tags", "serve,gpu")]).is_ok());
}

#[test]
fn a_request_that_does_not_fit_is_told_in_a_line() {
    let Some(library) = library() else { return };
    let model = load("half_plus_two", &library);
    let error = run(&*model, "regress_x_to_y", &[strings(&[b"no example"])]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(!error.message().contains('\n'), "{error}");
}

#[test]
fn files_that_are_no_models_are_refused() {
    let Some(library) = library() else { return };
    let directory = tempfile::tempdir().unwrap();
    let refused = || load_with(directory.path(), &library, &[]).err().unwrap().code();
    assert_eq!(refused(), Code::NotFound);
    std::fs::write(directory.path().join("saved_model.pb"), [0xff; 100]).unwrap();
    assert_eq!(refused(), Code::DataLoss);
    // Whole, but without its variables.
    std::fs::copy(fixture("half_plus_two/saved_model.pb"), directory.path().join("saved_model.pb")).unwrap();
    assert_eq!(refused(), Code::DataLoss);
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let Some(library) = library() else { return };
    let error = load_with(&fixture("half_plus_two"), &library, &[("device", "cuda:0")]).err().unwrap();
    assert_eq!(error.code(), Code::FailedPrecondition);
}

#[test]
fn many_threads_run_one_model_at_once_and_answers_outlive_it() {
    let Some(library) = library() else { return };
    let model = load("half_plus_two", &library);
    let kept: Vec<_> = thread::scope(|scope| {
        let clients = (0..8).map(|client| {
            let model = &*model;
            scope.spawn(move || {
                let x = |turn: i32| (client * 1000 + turn) as f32;
                let answer = |turn| run(model, "", &[tensor(&[1, 1], vec![x(turn)])]).unwrap();
                for turn in 0..200 {
                    assert_eq!(answer(turn), [tensor(&[1, 1], vec![x(turn) / 2. + 2.])]);
                }
                answer(0)
            })
        });
        clients.collect::<Vec<_>>().into_iter().map(|client| client.join().unwrap()).collect()
    });
    drop(model);
    for (client, answer) in kept.iter().enumerate() {
        assert_eq!(answer, &[tensor(&[1, 1], vec![client as f32 * 500. + 2.])]);
    }
}

#[test]
fn a_request_that_is_late_is_not_run() {
    let Some(library) = library() else { return };
    let model = load("half_plus_two", &library);
    let x = || [tensor(&[1, 1], vec![1_f32])];
    let until = |deadline| RunContext { deadline: Some(deadline), ..RunContext::default() };
    let late = run_in(&*model, "", &x(), until(Instant::now())).unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(run_in(&*model, "", &x(), until(Instant::now() + Duration::from_secs(60))).is_ok());
}

#[test]
fn a_directory_is_known_by_its_file_as_in_triton_s_repository_too() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(platform().probe(directory.path()), Probe::NoMatch { .. }));
    let folder = directory.path().join("model.savedmodel");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("saved_model.pb"), "").unwrap();
    let file = "model.savedmodel/saved_model.pb".to_owned();
    assert_eq!(platform().probe(directory.path()), Probe::Match { file });
}

#[test]
fn a_signature_s_shapes_and_types_are_as_declared() {
    let Some(library) = library() else { return };
    let model = load("half_plus_two_v2", &library);
    let (_, signature) = model.signatures().get("").unwrap();
    let x = &signature.inputs[0];
    assert_eq!((x.name.as_str(), x.dtype, x.shape.dims()), ("x", DType::F32, Some(&[-1, 1][..])));
}

#[test]
fn a_model_has_the_operators_of_the_libraries_that_its_options_name() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let operators = folder.path().join("operators.so");
    let framework = library.with_file_name("libtensorflow_framework.so.2");
    let source = fixture("operators.c");
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&operators, &source, &framework]).status();
    assert!(made.unwrap().success());
    let load = |more: &[(&str, &str)]| load_with(&fixture("operator"), &library, more);
    let with = |libraries: &str| load(&[("operator_libraries", libraries)]);

    let without = load(&[]).err().unwrap();
    assert!(without.message().contains("SalverDouble"), "{without}");
    let missing = with("none.so").err().unwrap();
    assert_eq!(missing.code(), Code::FailedPrecondition);
    assert!(missing.message().contains("option `operator_libraries`: there is no file `"), "{missing}");
    // Beside the model, and no library at all.
    let wrong = with("saved_model.pb").err().unwrap();
    assert!(wrong.message().contains("operator/saved_model.pb`: TensorFlow: "), "{wrong}");
    assert!(wrong.message().contains("invalid ELF header"), "{wrong}");

    // More than once: the process keeps them.
    for _ in 0..2 {
        let model = with(operators.to_str().unwrap()).unwrap();
        let outputs = run(&*model, "", &[tensor(&[3], vec![1_f32, -2.0, 0.5])]).unwrap();
        assert_eq!(outputs, [tensor(&[3], vec![2_f32, -4.0, 1.0])]);
    }
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("operators.so");
    std::fs::copy(&operators, &copy).unwrap();
    let refused = with(copy.to_str().unwrap()).err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("a process can have one of a name"), "{refused}");
}
