//! Builds the plugins that the tests open, and calls what they offer.

#![allow(dead_code, clippy::allow_attributes, reason = "every test file uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture that fails ends the test"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use salver_core_platform::{CancelFlag, LoadRequest, Model, Options, Platform, RunContext, RunRequest};
use salver_core_servable::{ServableId, Version};
use salver_core_status::Status;
use salver_core_tensor::{Shape, Tensor};
use salver_plugins_host::{Error, HostServices, Plugin, Plugins};

/// `plugins/`.
pub(crate) fn plugins_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The library of a package of type `cdylib`, built with this workspace.
pub(crate) fn cdylib(package: &'static str) -> PathBuf {
    static BUILT: OnceLock<Mutex<HashMap<&str, PathBuf>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap();
    built.entry(package).or_insert_with(|| build(&["--package", package], &plugins_folder())).clone()
}

/// Runs `cargo build` in `folder` and returns the shared library it made.
pub(crate) fn build(arguments: &[&str], folder: &Path) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--message-format=json", "--quiet"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{messages}", String::from_utf8_lossy(&output.stderr));
    // The library is the last thing built, and the only file of its kind outside `deps` and `build`.
    let names = messages.split('"').filter(|text| text.ends_with(".so") && !text.contains("/deps/"));
    PathBuf::from(names.last().unwrap_or_else(|| panic!("no library among {messages}")))
}

/// Compiles a C file against the plugin header, into `folder`.
pub(crate) fn compile(source: &Path, flags: &[&str], folder: &Path) -> PathBuf {
    let library = folder.join(source.file_stem().unwrap()).with_extension("so");
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-I"])
        .arg(plugins_folder().join("c"))
        .args(flags)
        .arg("-o")
        .args([&library, source])
        .output()
        .expect("a C compiler called `cc`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// A library of `misbehaving/NAME.c`.
pub(crate) fn misbehaving(name: &str, flags: &[&str], folder: &Path) -> PathBuf {
    compile(&plugins_folder().join("misbehaving").join(name).with_extension("c"), flags, folder)
}

pub(crate) fn open(path: &Path) -> Result<Plugin, Error> {
    Plugins::new(HostServices::default()).open(path)
}

/// The one platform of the plugin at `path`.
pub(crate) fn platform(path: &Path) -> Arc<dyn Platform> {
    let plugin = open(path).unwrap_or_else(|error| panic!("{error}"));
    Arc::clone(&plugin.platforms()[0])
}

pub(crate) fn load(
    platform: &dyn Platform,
    directory: &Path,
    options: &Options,
) -> Result<Box<dyn Model>, Status> {
    let id = ServableId::new("m", Version::new(1).unwrap());
    platform.load(&LoadRequest { id: &id, directory, options, cancel: &CancelFlag::new() })
}

/// Runs the signature of this name on inputs that are all there, asking for every output.
pub(crate) fn run_in(
    model: &dyn Model,
    signature: &str,
    inputs: &[&Tensor],
    context: &RunContext,
) -> Result<Vec<Tensor>, Status> {
    let (signature, declared) = model.signatures().get(signature).expect("the model has the signature");
    let inputs: Vec<_> = inputs.iter().map(|tensor| Some(tensor.view())).collect();
    let outputs: Vec<_> = (0..declared.outputs.len()).collect();
    model.run(&RunRequest { signature, inputs: &inputs, outputs: &outputs, context })
}

pub(crate) fn run(model: &dyn Model, signature: &str, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Status> {
    run_in(model, signature, inputs, &RunContext::default())
}

pub(crate) fn floats(values: &[f32]) -> Tensor {
    Tensor::from_vec(Shape::new(&[values.len() as i64]).unwrap(), values.to_vec()).unwrap()
}

/// That a model of `y = 2 * x + 1` serves from the platform.
#[track_caller]
pub(crate) fn assert_serves_a_line(platform: &dyn Platform) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("line.txt"), "2 1").unwrap();
    let model = load(platform, folder.path(), &Options::new()).unwrap();
    let outputs = run(&*model, "", &[&floats(&[0.0, 1.5, -3.0])]).unwrap();
    assert_eq!(outputs, [floats(&[1.0, 4.0, -5.0])]);
}
