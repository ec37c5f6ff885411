//! The echo platform as a server sees it.
#![cfg(test)]

use std::path::Path;

use salver_core_platform::{
    Cancellation, LoadRequest, Model, Options, Platform, Probe, RunContext, RunRequest,
};
use salver_core_servable::{ServableId, Version};
use salver_core_status::{Code, Status};
use salver_core_tensor::{DType, Shape, Strings, Tensor};
use salver_platforms_echo::Echo;

fn load_from(directory: &Path) -> Result<Box<dyn Model>, Status> {
    let id = ServableId::new("m", Version::new(7).unwrap());
    Echo::new().load(&LoadRequest {
        id: &id,
        directory,
        options: &Options::new(),
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    })
}

fn load(text: &str) -> Result<Box<dyn Model>, Status> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("echo.toml"), text).unwrap();
    load_from(directory.path())
}

/// Runs a signature as the server does: bound by name, all outputs.
fn run(
    model: &dyn Model,
    signature: &str,
    inputs: Vec<(&str, Tensor)>,
) -> Result<Vec<(String, Tensor)>, Status> {
    let (position, signature) = model.signatures().get(signature).unwrap();
    let bound =
        signature.bind(inputs.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect())?;
    let views: Vec<_> = bound.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
    let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
    let context = RunContext::default();
    let request = RunRequest { signature: position, inputs: &views, outputs: &outputs, context };
    let tensors = model.run(&request)?;
    Ok(signature.outputs.iter().map(|output| output.name.clone()).zip(tensors).collect())
}

fn floats(dims: &[i64], values: Vec<f32>) -> Tensor {
    Tensor::from_vec(Shape::new(dims).unwrap(), values).unwrap()
}

#[test]
fn inputs_of_every_type_come_back_in_other_memory() {
    for dtype in DType::ALL {
        let text = format!("[signatures.serving_default]\ninputs = [{{ name = 'x', dtype = '{dtype}' }}]");
        let model = load(&text).unwrap();
        for dims in [&[][..], &[3], &[2, 0], &[2, 1, 2]] {
            let shape = Shape::new(dims).unwrap();
            let x = match dtype.size() {
                Some(size) => {
                    Tensor::from_bytes(dtype, shape.clone(), vec![1; shape.element_count() * size].into())
                        .unwrap()
                }
                None => {
                    let strings: Strings = (0..shape.element_count()).map(|_| b"a\0\xff").collect();
                    Tensor::from_strings(shape, strings).unwrap()
                }
            };
            let outputs = run(&*model, "", vec![("x", x.clone())]).unwrap();
            assert_eq!(outputs, [("x".to_owned(), x.clone())]);
            if let (Some(taken), Some(given)) = (x.fixed(), outputs[0].1.fixed())
                && !taken.is_empty()
            {
                assert_ne!(taken.as_ptr().addr(), given.as_ptr().addr());
            }
        }
    }
}

#[test]
fn outputs_are_renamed_and_a_tag_tells_the_version_of_each_row() {
    let model = load(
        "[signatures.serving_default]
         inputs = [{ name = 'x', dtype = 'FP32', shape = [-1] }, { name = 'z', dtype = 'FP32', optional = true, default = 2 }]
         outputs = { b = 'x', a = 'z' }
         tag = 'version'",
    )
    .unwrap();
    let x = floats(&[3], vec![1.0, 2.0, 3.0]);
    let outputs = run(&*model, "", vec![("x", x.clone())]).unwrap();
    let versions = Tensor::from_vec(Shape::new(&[3]).unwrap(), vec![7i64; 3]).unwrap();
    let named = |name: &str, tensor| (name.to_owned(), tensor);
    assert_eq!(outputs, [named("a", floats(&[], vec![2.0])), named("b", x), named("version", versions)]);
}

#[test]
fn an_empty_file_is_the_null_model() {
    assert_eq!(run(&*load("").unwrap(), "", Vec::new()).unwrap(), []);
}

#[test]
fn signatures_are_called_by_name_and_fail_on_their_own() {
    let model = load(
        "[signatures.serving_default]
         [signatures.failing]
         fail = 'UNAVAILABLE out of tea'
         [signatures.lonely]
         inputs = [{ name = 'x', dtype = 'FP32', optional = true }]",
    )
    .unwrap();
    assert_eq!(run(&*model, "", Vec::new()).unwrap(), []);
    assert_eq!(run(&*model, "failing", Vec::new()).unwrap_err(), Status::unavailable("out of tea"));
    let left_out = run(&*model, "lonely", Vec::new()).unwrap_err();
    assert_eq!(left_out.to_string(), "input `x` was left out, and there is nothing to return for it");
}

#[test]
fn a_load_fails_as_told_and_a_mistake_names_the_file() {
    assert_eq!(load("load = { fail = 'DATA_LOSS bad disk' }").err(), Some(Status::data_loss("bad disk")));
    let mistake = load("lod = 1").err().unwrap();
    assert_eq!(mistake.code(), Code::InvalidArgument);
    assert!(mistake.message().contains("echo.toml`: line 1: unknown field `lod`"), "{mistake}");
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(load_from(directory.path()).err().unwrap().code(), Code::NotFound);
    assert_eq!(
        Echo::new().probe(directory.path()),
        Probe::NoMatch { reason: "no file `echo.toml`".to_owned() }
    );
}
