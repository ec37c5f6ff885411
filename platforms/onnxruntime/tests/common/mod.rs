//! Loading and running models as the server does.

#![allow(dead_code, clippy::allow_attributes, reason = "every test file uses a part of it")]

use std::path::{Path, PathBuf};

use salver_core_platform::{
    Cancellation, LoadRequest, Model, OptionValue, Options, Platform, RunContext, RunRequest,
};
use salver_core_servable::{ServableId, Version};
use salver_core_status::Status;
use salver_core_tensor::{Element, Shape, Tensor};
use salver_platforms_onnxruntime::{LibrarySearch, OnnxRuntime};

/// ONNX Runtime's library, from the environment or where `cargo xtask fetch onnxruntime` puts it; `None`, and a printed
/// reason, where it is not there.
pub(crate) fn library() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || variable("SALVER_CACHE").or_else(|| Some(variable("HOME")?.join(".cache/salver")));
    let fetched = || Some(cache()?.join("onnxruntime-1.31.1/libonnxruntime.so.1.31.1"));
    let library = variable("SALVER_ONNXRUNTIME_LIBRARY").or_else(fetched).filter(|path| path.is_file());
    if library.is_none() {
        println!("skipped: no ONNX Runtime; `cargo xtask fetch onnxruntime` gets it");
    }
    library
}

/// The options that every load here has.
pub(crate) fn options(library: &Path) -> Options {
    let mut options = Options::new();
    options.set("library", OptionValue::Text(library.to_string_lossy().into_owned()));
    options
}

pub(crate) fn with(options: &Options, name: &str, value: OptionValue) -> Options {
    let mut options = options.clone();
    options.set(name, value);
    options
}

pub(crate) fn text(text: &str) -> OptionValue {
    OptionValue::Text(text.to_owned())
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub(crate) fn load(directory: &Path, options: &Options) -> Result<Box<dyn Model>, Status> {
    load_by(&OnnxRuntime::new(LibrarySearch::new()), directory, options)
}

pub(crate) fn load_by(
    platform: &OnnxRuntime,
    directory: &Path,
    options: &Options,
) -> Result<Box<dyn Model>, Status> {
    let id = ServableId::new("m", Version::new(3).unwrap());
    platform.load(&LoadRequest {
        id: &id,
        directory,
        options,
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    })
}

/// Loads one file of the fixtures.
pub(crate) fn load_fixture(file: &str, options: &Options) -> Result<Box<dyn Model>, Status> {
    load(&fixtures(), &with(options, "file", text(file)))
}

/// Runs a model: inputs by name, bound to its signature; the outputs named, or all.
pub(crate) fn run(
    model: &dyn Model,
    inputs: &[(&str, &Tensor)],
    outputs: &[&str],
) -> Result<Vec<Tensor>, Status> {
    let (_, signature) = model.signatures().get("").unwrap();
    let named = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), (*tensor).clone())).collect();
    let bound = signature.bind(named)?;
    let views: Vec<_> = bound.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
    let outputs = signature.select_outputs(outputs)?;
    let context = RunContext::default();
    model.run(&RunRequest { signature: 0, inputs: &views, outputs: &outputs, context })
}

pub(crate) fn tensor<T: Element>(dims: &[i64], values: Vec<T>) -> Tensor {
    Tensor::from_vec(Shape::new(dims).unwrap(), values).unwrap()
}
