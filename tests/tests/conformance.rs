//! What every platform must do, of every plugin in the bundle, through its `.so`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use salver_tests::{Bundle, copy, root, skip};
use serde_json::Value;

/// Checks a plugin of the bundle with a model and with models that return their input, and returns how many cases passed
/// and a line for each that did not. `None`, and a printed reason, where the plugin is not in the bundle.
fn check(platform: &str, model: &Path, identities: Option<&Identities>) -> Option<(usize, Vec<String>)> {
    let bundle = Bundle::from_env()?;
    if !bundle.plugin(platform).is_file() {
        skip(&format!("{platform} is not in the bundle; `cargo xtask test --all-platforms` packs it"));
        return None;
    }
    let mut check = Command::new(bundle.salver());
    check.args(["plugin", "check", "--json", "--model"]).arg(model);
    if let Some(identities) = identities {
        check.arg("--identity").arg(identities.0.path());
    }
    let output = check.arg(bundle.plugin(platform)).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |case: &Value, field: &str| case[field].as_str().unwrap_or_default().to_owned();
    let cases = report["cases"].as_array().unwrap();
    let (passed, others): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case["result"] == "passed");
    let line =
        |case: &&Value| format!("{} {}: {}", text(case, "result"), text(case, "case"), text(case, "text"));
    assert_eq!(output.status.success(), report["good"] == true, "{report}");
    Some((passed.len(), others.iter().map(line).collect()))
}

/// How many cases there are, the one that opens the plugin included.
const CASES: usize = 21;

/// Every case passed, but for these.
#[track_caller]
fn assert_passed(checked: Option<(usize, Vec<String>)>, skipped: &[&str]) {
    let Some((passed, others)) = checked else { return };
    assert_eq!(others, skipped);
    assert_eq!(passed, CASES - skipped.len());
}

/// A repository of models called after element types.
struct Identities(tempfile::TempDir);

impl Identities {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The folder of the first version for an element type.
    fn version(&self, dtype: &str) -> PathBuf {
        let version = self.0.path().join(dtype).join("1");
        fs::create_dir_all(&version).unwrap();
        version
    }
}

/// Element types by the names that models of theirs have, with the numbers of `TensorProto.DataType`; complex numbers and
/// others that ONNX Runtime does not carry are left out.
const ONNX: [(&str, u8); 18] = [
    ("FP32", 1),
    ("UINT8", 2),
    ("INT8", 3),
    ("UINT16", 4),
    ("INT16", 5),
    ("INT32", 6),
    ("INT64", 7),
    ("BYTES", 8),
    ("BOOL", 9),
    ("FP16", 10),
    ("FP64", 11),
    ("UINT32", 12),
    ("UINT64", 13),
    ("BF16", 16),
    ("FP8_E4M3FN", 17),
    ("FP8_E4M3FNUZ", 18),
    ("FP8_E5M2", 19),
    ("FP8_E5M2FNUZ", 20),
];

/// A `ModelProto` of one `Identity` without word of dimensions; numbers of fields are those of `onnx/onnx.proto`.
fn onnx_identity(number: u8) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
    let port = |place, name| {
        let of_type = field(2, &field(1, &[1 << 3, number]));
        field(place, &[field(1, name), of_type].concat())
    };
    let node = field(1, &[field(1, b"x"), field(2, b"y"), field(4, b"Identity")].concat());
    let graph = [node, field(2, b"g"), port(11, b"x"), port(12, b"y")].concat();
    // `ir_version` 10 and version 21 of the operators.
    [vec![1 << 3, 10], field(8, &[2 << 3, 21]), field(7, &graph)].concat()
}

#[test]
fn onnx_runtime_does_through_its_plugin_what_every_platform_must() {
    let identities = Identities::new();
    for (dtype, number) in ONNX {
        fs::write(identities.version(dtype).join("model.onnx"), onnx_identity(number)).unwrap();
    }
    let digits = root().join("examples/models/digits/2");
    assert_passed(check("onnxruntime", &digits, Some(&identities)), &[]);
}

const TORCH: [&str; 16] = [
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

#[test]
fn libtorch_does_through_its_plugin_what_every_platform_must() {
    let identities = Identities::new();
    for dtype in TORCH {
        let version = identities.version(dtype);
        let module = root().join("platforms/libtorch/tests/fixtures/identity.pt");
        fs::copy(module, version.join("model.pt")).unwrap();
        let settings = format!("[signature]\ninputs = [{{ name = \"x\", dtype = \"{dtype}\" }}]\n");
        fs::write(version.with_file_name("model.toml"), settings).unwrap();
    }
    let digits = root().join("examples/platforms/digits-torchscript/1");
    let checked = check("libtorch", &digits, Some(&identities));
    assert_passed(checked, &["skipped strings: the framework has no strings"]);
}

const TENSORFLOW: [&str; 16] = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
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
    "BYTES",
];

#[test]
fn tensorflow_does_through_its_plugin_what_every_platform_must() {
    let identities = Identities::new();
    // It has a signature for each element type.
    let model = root().join("platforms/tensorflow/tests/fixtures/identity");
    for dtype in TENSORFLOW {
        copy(&model, &identities.version(dtype));
    }
    let digits = root().join("examples/platforms/digits-savedmodel/1");
    assert_passed(check("tensorflow", &digits, Some(&identities)), &[]);
}

#[test]
fn tables_do_through_their_plugin_what_every_platform_must() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("table.csv"), "key,price\n0,1.5\n1,2\n2,2.5\n").unwrap();
    let identity = ["element-types", "ranks", "empty-dimensions", "dynamic-shapes", "strings"];
    // What is looked up is not what was asked for.
    let skipped = identity.map(|case| format!("skipped {case}: needs models that return their input"));
    assert_passed(check("lookup", folder.path(), None), &skipped.each_ref().map(String::as_str));
}

#[test]
fn echo_does_through_its_plugin_what_every_platform_must() {
    let identities = Identities::new();
    for dtype in TENSORFLOW.iter().chain(&TORCH) {
        let text = format!(
            "[signatures.serving_default]\ninputs = [{{ name = 'x', dtype = '{dtype}' }}]\noutputs = {{ y = 'x' }}\n"
        );
        fs::write(identities.version(dtype).join("echo.toml"), text).unwrap();
    }
    assert_passed(check("echo", &identities.version("FP32"), Some(&identities)), &[]);
}
