//! The bundle: what its plugins say of themselves, and that it runs wherever it is put.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs;
use std::path::Path;
use std::process::Command;

use salver_tests::{Bundle, Repository, Server, python, root};

#[test]
fn plugin_inspect_tells_name_version_abi_and_platforms() {
    let Some(bundle) = Bundle::from_env() else { return };
    let files = ["onnxruntime", "echo"].map(|name| bundle.plugin(name));
    let output = Command::new(bundle.salver()).args(["plugin", "inspect"]).args(&files).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for (file, name) in files.iter().zip(["onnxruntime", "echo"]) {
        let rest =
            text.split_once(file.to_str().unwrap()).unwrap_or_else(|| panic!("{file:?} is in {text}")).1;
        // Up to the next file.
        let entry = rest.split_once(".so\n").map_or(rest, |(entry, _)| entry);
        for part in [name, "abi", "platform", env!("CARGO_PKG_VERSION")] {
            assert!(entry.to_lowercase().contains(part), "`{part}` is in: {entry}");
        }
    }
}

#[test]
fn plugin_inspect_says_what_is_wrong_with_a_file_that_is_no_plugin_and_fails() {
    let Some(bundle) = Bundle::from_env() else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.so");
    fs::write(&text, "no library").unwrap();
    let cut = folder.path().join("cut.so");
    fs::write(&cut, &fs::read(bundle.plugin("echo")).unwrap()[..4096]).unwrap();
    for file in [text, cut, bundle.salver(), folder.path().join("missing.so")] {
        let output = Command::new(bundle.salver()).args(["plugin", "inspect"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(file.to_str().unwrap()) && said.contains("cannot be used: "), "{said}");
    }
}

#[tokio::test]
async fn a_bundle_that_was_moved_still_serves() {
    let Some(bundle) = Bundle::from_env() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    copy(bundle.path(), &elsewhere.path().join("moved"));
    let moved = Bundle::at(elsewhere.path().join("moved"));
    let repository = Repository::new();
    repository.add_digits();
    let server = Server::start(&moved, &repository, &[]);
    let request = fs::read(root().join("examples/requests/digits.predict.json")).unwrap();
    let answer = server.http().post("/v1/models/digits:predict", request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["predictions"].as_array().map(Vec::len), Some(5), "{}", answer.text());
    let mapped = fs::read_to_string(format!("/proc/{}/maps", server.id())).unwrap();
    let library = mapped.lines().find(|line| line.contains("libonnxruntime.so")).expect("it is loaded");
    assert!(library.contains(moved.path().to_str().unwrap()), "{library}");
}

/// Copies a folder, by a program of its own: a program that this process wrote may be open for writing, for a moment, in
/// the child that another test starts, and then cannot be run.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-R").args([from, to]).status().unwrap().success());
}

#[test]
fn the_example_classifies_the_digits_over_all_four_interfaces() {
    let (Some(bundle), Some(python)) = (Bundle::from_env(), python()) else { return };
    let repository = Repository::new();
    repository.add_digits();
    let server = Server::start(&bundle, &repository, &[]);
    let output = Command::new(python)
        .arg(root().join("examples/classify.py"))
        .arg(server.address().to_string())
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("all 4 interfaces agree"), "{said}");
}
