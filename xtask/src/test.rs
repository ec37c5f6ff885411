//! `cargo xtask test`: every test there is, and one line that sums them up.
//!
//! 1. the tests and examples of every crate, with ONNX Runtime at hand;
//! 2. the packed server, talked to by real clients;
//! 3. the loom models of what is shared without locks.
//!
//! A step that fails does not keep the next from running. The line at the end, `N passed, N failed, N skipped`, adds up
//! what each test program said.

mod tally;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, bail};

use crate::bundle::{self, Platform};
use crate::fetch::fetch;
use crate::workspace::{cargo, root, target};
use crate::{libraries, python};
use tally::Tally;

/// Where the bundle with every platform is made, for tests and measurements.
pub(crate) fn test_bundle() -> PathBuf {
    target().join("test-bundle")
}

pub(crate) fn run() -> anyhow::Result<()> {
    let onnxruntime = libraries::named("onnxruntime")?;
    let library = fetch(&onnxruntime)?.join(format!("libonnxruntime.so.{}", onnxruntime.version));
    let python = python::interpreter()?;
    let bundle = test_bundle();
    let mut tally = Tally::default();

    let mut crates = cargo(["test", "--no-fail-fast", "--workspace", "--exclude", "salver-tests"]);
    crates.env("SALVER_ONNXRUNTIME_LIBRARY", &library).env("SALVER_PYTHON", &python);
    step("the crates", &mut tally, |tally| count(&mut crates, tally));

    step("end to end", &mut tally, |tally| {
        bundle::make(&bundle, &Platform::ALL, false)?;
        let mut end_to_end = cargo(["test", "--no-fail-fast", "--package", "salver-tests"]);
        count(end_to_end.env("SALVER_BUNDLE", &bundle).env("SALVER_PYTHON", &python), tally)
    });

    step("loom models", &mut tally, |tally| count(&mut loom_models()?, tally));

    for skipped in &tally.reasons {
        println!("skipped: {skipped}");
    }
    println!("{tally}");
    if tally.failed > 0 {
        bail!("not every test passed");
    }
    Ok(())
}

/// Runs a step under a heading. One that cannot even count counts as a failure.
fn step(name: &str, tally: &mut Tally, run: impl FnOnce(&mut Tally) -> anyhow::Result<()>) {
    println!("\n== {name}");
    let begin = Instant::now();
    if let Err(error) = run(tally) {
        eprintln!("error: {error:#}");
        tally.failed += 1;
    }
    println!("== {name}: {:.1} s", begin.elapsed().as_secs_f64());
}

/// Runs test programs, shows what they say, and adds it up.
fn count(command: &mut Command, tally: &mut Tally) -> anyhow::Result<()> {
    let failed_before = tally.failed;
    let mut child = command.stdout(Stdio::piped()).spawn().context("starting cargo")?;
    let output = child.stdout.take().context("reading what cargo says")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        tally.read(&line);
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == failed_before {
        bail!("cargo ended with {status} before the tests did");
    }
    Ok(())
}

/// Cargo, set to run the models of every crate that has some.
fn loom_models() -> anyhow::Result<Command> {
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(root().join("Cargo.toml"))?)?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
    let members = members.and_then(|members| members.as_array()).context("the workspace has no members")?;
    let mut models = cargo(["test", "--no-fail-fast", "--release", "--lib"]);
    for member in members.iter().filter_map(|member| member.as_str()) {
        if uses_loom(&root().join(member)) {
            models.args(["--package", &format!("salver-{}", member.replace('/', "-"))]);
        }
    }
    // Another build of the same crates: in a place of its own, so that neither drives the other out.
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    models.env("RUSTFLAGS", format!("{flags} --cfg loom")).env("CARGO_TARGET_DIR", target().join("loom"));
    Ok(models)
}

fn uses_loom(member: &Path) -> bool {
    fs::read_to_string(member.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("cfg(loom)"))
}
