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
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::bundle::{self, Platform};
use crate::fetch::fetch;
use crate::workspace::{cargo, target};
use crate::{libraries, loom, python};
pub(crate) use tally::Tally;

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

    step("loom models", &mut tally, |tally| count(&mut loom::models()?, tally));

    tally.conclude()
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
pub(crate) fn count(command: &mut Command, tally: &mut Tally) -> anyhow::Result<()> {
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
