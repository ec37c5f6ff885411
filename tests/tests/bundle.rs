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

/// What a system has on which nothing is installed: the C library and, as Debian's own package manager needs them, the C++
/// compiler's. Of this machine, by the names that programs ask for them.
const SYSTEM: [&str; 9] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libstdc++.so.6",
];

#[tokio::test]
async fn a_bundle_serves_where_nothing_is_installed() {
    let Some(bundle) = Bundle::from_env() else { return };
    let root = tempfile::tempdir().unwrap();
    let is_allowed = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).output();
    if !cfg!(target_arch = "x86_64") || !is_allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this machine gives nobody a root of their own, or is no x86-64");
        return;
    }
    let system = root.path().join("lib/x86_64-linux-gnu");
    fs::create_dir_all(&system).unwrap();
    for folder in ["lib64", "opt", "proc", "tmp"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    for name in SYSTEM {
        let places = ["/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"];
        let file = places.iter().map(|place| Path::new(place).join(name)).find(|file| file.is_file());
        let file = file.unwrap_or_else(|| panic!("this machine has no {name}"));
        let place = if name.starts_with("ld-") { root.path().join("lib64") } else { system.clone() };
        fs::copy(file, place.join(name)).unwrap();
    }
    copy(bundle.path(), &root.path().join("opt/salver"));
    let repository = Repository::new();
    repository.add_digits();
    copy(repository.path(), &root.path().join("models"));
    // A container has its processes' files, too.
    let script = r#"mount --rbind /proc "$0/proc" && exec chroot "$0" /opt/salver/bin/salver "$@""#;
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(root.path());
    let server = Server::launch_by(unshare, &["--model-repository=/models"]);
    server.wait_until_available(0, "digits", 2);
    let request = fs::read(salver_tests::root().join("examples/requests/digits.predict.json")).unwrap();
    let answer = server.http().post("/v1/models/digits:predict", request).await;
    assert_eq!(answer.json()["predictions"].as_array().map(Vec::len), Some(5), "{}", answer.text());
}

/// Copies a folder, by a program of its own: a program that this process wrote may be open for writing, for a moment, in
/// the child that another test starts, and then cannot be run. Where it can, it only gives the files a second name.
fn copy(from: &Path, to: &Path) {
    let cp = |how: &str| Command::new("cp").arg(how).args([from, to]).output().unwrap().status.success();
    assert!(cp("-Rl") || cp("-R"));
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
