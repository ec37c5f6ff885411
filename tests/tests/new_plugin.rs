//! From a template to a served answer, in every language.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use salver_tests::{Bundle, Grpc, Server, fp32_predict, root};
use serde_json::json;

/// Runs a command to its end.
fn must(command: &mut Command) {
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A new plugin, in a folder of its own.
fn generate(language: &str, folder: &Path) -> PathBuf {
    let out = folder.join("half-plus-two");
    let mut xtask = Command::new(env!("CARGO"));
    xtask.current_dir(root()).args(["run", "--quiet", "--package", "salver-xtask", "--", "new-plugin"]);
    must(xtask.args(["half-plus-two", "--lang", language, "--out"]).arg(&out));
    out
}

/// Serves the example in the folder with the library, and asks over both protocols.
async fn serve(bundle: &Bundle, plugin: &Path, library: &Path) {
    let plugins = plugin.join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::copy(library, plugins.join("libhalf_plus_two.so")).unwrap();
    must(Command::new(bundle.salver()).args(["plugin", "inspect"]).arg(library));
    let mut server = Server::launch_with(bundle, &[], |command| {
        command.arg("--plugin-dir").arg(&plugins).arg("--model-repository").arg(plugin.join("models"));
    });
    server.wait_until_available(0, "example", 1);
    let answer = server.http().post("/v1/models/example:predict", r#"{"instances": [1, 2, 5]}"#).await;
    assert_eq!(answer.json(), json!({ "predictions": [3.0, 5.0, 11.0] }));
    let mut grpc = Grpc::connect(&server).await;
    let answer = grpc.prediction.predict(fp32_predict("example", None, &[2], &[0.5, -1.0])).await.unwrap();
    let outputs = &answer.get_ref().outputs;
    assert_eq!(outputs.first().and_then(|entry| entry.value.as_ref()).unwrap().float_val, [2.0, -1.0]);
    assert!(server.stop().success());
}

#[tokio::test]
async fn a_new_plugin_in_rust_is_tested_and_served_as_it_is() {
    let Some(bundle) = Bundle::from_env() else { return };
    let folder = tempfile::tempdir().unwrap();
    let plugin = generate("rust", folder.path());
    // What it depends on is in the cache: this workspace has it too.
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&plugin).args(arguments).args(["--offline", "--quiet"]);
        must(cargo.env("CARGO_TARGET_DIR", plugin.join("target")).env_remove("RUSTFLAGS"));
    };
    cargo(&["test"]);
    cargo(&["build"]);
    serve(&bundle, &plugin, &plugin.join("target/debug/libhalf_plus_two.so")).await;
}

#[tokio::test]
async fn a_new_plugin_in_c_or_cpp_is_compiled_by_one_line_and_served() {
    let Some(bundle) = Bundle::from_env() else { return };
    for language in ["c", "cpp"] {
        let folder = tempfile::tempdir().unwrap();
        let plugin = generate(language, folder.path());
        let readme = fs::read_to_string(plugin.join("README.md")).unwrap();
        let compile =
            readme.lines().find(|line| line.starts_with("cc ") || line.starts_with("c++ ")).unwrap();
        must(
            Command::new("sh").args(["-c", &format!("{compile} -Wall -Wextra -Werror")]).current_dir(&plugin),
        );
        serve(&bundle, &plugin, &plugin.join("libhalf-plus-two.so")).await;
    }
}
