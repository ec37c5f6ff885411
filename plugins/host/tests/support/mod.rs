//! Builds the plugins that the tests open, and calls what they offer.

#![allow(dead_code, clippy::allow_attributes, reason = "every test file uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use salver_core_platform::{Cancellation, LoadRequest, Model, Options, Platform, RequestContext, RunRequest};
use salver_core_servable::{ServableId, Version};
use salver_core_status::Status;
use salver_core_tensor::{Shape, Tensor};
use salver_plugins_host::{Error, HostServices, MetricKind, Plugin, PluginMetrics, Plugins};

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
    let mut names = messages.split('"').filter(|text| text.ends_with(".so") && !text.contains("/deps/"));
    PathBuf::from(names.next_back().unwrap_or_else(|| panic!("no library among {messages}")))
}

/// Compiles a C file against the plugin header, into `folder`.
pub(crate) fn compile(source: &Path, flags: &[&str], folder: &Path) -> PathBuf {
    let library = folder.join(source.file_stem().unwrap()).with_extension("so");
    let is_cpp = flags.contains(&"-xc++");
    let output = Command::new("cc")
        .args([
            if is_cpp { "-std=c++17" } else { "-std=c11" },
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O1",
            "-shared",
            "-fPIC",
            "-I",
        ])
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
    let source = plugins_folder().join("misbehaving").join(name).with_extension("c");
    // What one way to fail leaves out, another uses.
    compile(&source, &[&["-Wno-unused"], flags].concat(), folder)
}

pub(crate) fn open(path: &Path) -> Result<Plugin, Error> {
    Plugins::new(HostServices::default()).open(path)
}

/// The one platform of the plugin at `path`.
pub(crate) fn platform(path: &Path) -> Arc<dyn Platform> {
    let plugin = open(path).unwrap_or_else(|error| panic!("{error}"));
    Arc::clone(&plugin.platforms()[0])
}

/// The one platform of a plugin of its own: a copy of the library in `folder`, with statics and figures of its own.
pub(crate) fn own_platform(library: &Path, folder: &Path) -> (Arc<dyn Platform>, Arc<Figures>) {
    let copy = folder.join("own.so");
    std::fs::copy(library, &copy).unwrap();
    let figures = Arc::new(Figures::default());
    let services = HostServices {
        cpu_threads: 3,
        metrics: Arc::clone(&figures) as Arc<dyn PluginMetrics>,
        ..HostServices::default()
    };
    let plugin = Plugins::new(services).open(&copy).unwrap_or_else(|error| panic!("{error}"));
    (Arc::clone(&plugin.platforms()[0]), figures)
}

/// What a plugin recorded: sums, by the name of the metric.
#[derive(Default)]
pub(crate) struct Figures {
    sums: Mutex<Vec<(String, f64)>>,
    changed: Condvar,
}

impl PluginMetrics for Figures {
    fn register(&self, _plugin: &str, _kind: MetricKind, name: &str, _help: &str) -> u64 {
        let mut sums = self.sums.lock().unwrap();
        let at = sums.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            sums.push((name.to_owned(), 0.0));
            sums.len() - 1
        });
        at as u64 + 1
    }

    fn record(&self, id: u64, value: f64) {
        self.sums.lock().unwrap()[id as usize - 1].1 += value;
        self.changed.notify_all();
    }
}

impl Figures {
    /// The sum under this name; 0 where there is none.
    pub(crate) fn get(&self, name: &str) -> f64 {
        self.sums.lock().unwrap().iter().find(|(known, _)| known == name).map_or(0.0, |(_, sum)| *sum)
    }

    /// Waits until the sum under this name is `value`.
    pub(crate) fn wait_for(&self, name: &str, value: f64) {
        let reached = |sums: &mut Vec<(String, f64)>| !sums.contains(&(name.to_owned(), value));
        drop(self.changed.wait_while(self.sums.lock().unwrap(), reached).unwrap());
    }
}

pub(crate) fn load(
    platform: &dyn Platform,
    directory: &Path,
    options: &Options,
) -> Result<Box<dyn Model>, Status> {
    let id = ServableId::new("m", Version::new(1).unwrap());
    platform.load(&LoadRequest {
        id: &id,
        directory,
        options,
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    })
}

/// Runs the signature of this name on inputs that are all there, asking for every output.
pub(crate) fn run_in(
    model: &dyn Model,
    signature: &str,
    inputs: &[&Tensor],
    context: &RequestContext,
) -> Result<Vec<Tensor>, Status> {
    let (signature, declared) = model.signatures().get(signature).expect("the model has the signature");
    let inputs: Vec<_> = inputs.iter().map(|tensor| Some(tensor.view())).collect();
    let outputs: Vec<_> = (0..declared.outputs.len()).collect();
    model.run(&RunRequest { signature, inputs: &inputs, outputs: &outputs, context: context.lend() })
}

pub(crate) fn run(model: &dyn Model, signature: &str, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Status> {
    run_in(model, signature, inputs, &RequestContext::default())
}

pub(crate) fn floats(values: &[f32]) -> Tensor {
    Tensor::from_vec(Shape::new(&[values.len() as i64]).unwrap(), values.to_vec()).unwrap()
}

/// That a model of `y = 2 * x + 1`, which is in this file, serves from the platform.
#[track_caller]
pub(crate) fn assert_serves(platform: &dyn Platform, file: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(file), "2 1").unwrap();
    let model = load(platform, folder.path(), &Options::new()).unwrap();
    let outputs = run(&*model, "", &[&floats(&[0.0, 1.5, -3.0])]).unwrap();
    assert_eq!(outputs, [floats(&[1.0, 4.0, -5.0])]);
}

/// That, whatever happened before, the smallest plugin serves.
#[track_caller]
pub(crate) fn assert_the_server_goes_on() {
    assert_serves(&*platform(&cdylib("salver-plugins-examples-minimal-rust")), "line.txt");
}
