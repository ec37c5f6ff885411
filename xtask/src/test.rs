//! `cargo xtask test`: every test there is, and one line that sums them up.
//!
//! 1. the tests and examples of every crate, with ONNX Runtime at hand;
//! 2. the packed server, talked to by real clients;
//! 3. the loom models of what is shared without locks.
//!
//! With `--all-platforms`, also the platforms whose libraries are large: their own tests, and the packed server with them.
//!
//! A step that fails does not keep the next from running. At the end stands what went wrong, once more, and the line
//! `N passed, N failed, N skipped` that adds up what each test program said.

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

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test the platforms whose libraries are large, too: fetches and builds more than a gigabyte
    #[arg(long)]
    all_platforms: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let onnxruntime = libraries::named("onnxruntime")?;
    let library = fetch(&onnxruntime)?.join(format!("libonnxruntime.so.{}", onnxruntime.version));
    let python = python::interpreter()?;
    let bundle = test_bundle();
    let mut tally = Tally::default();

    let mut crates = cargo(["test", "--no-fail-fast", "--workspace", "--exclude", "salver-tests"]);
    crates.env("SALVER_ONNXRUNTIME_LIBRARY", &library).env("SALVER_PYTHON", &python);
    step("the crates", &mut tally, |tally| count(&mut crates, tally));

    if args.all_platforms {
        step("libtorch", &mut tally, |tally| {
            let libtorch = fetch(&libraries::named("libtorch")?)?;
            let mut platform = cargo(["test", "--no-fail-fast", "--package", "salver-platforms-libtorch"]);
            bundle::with_libtorch(&mut platform, &libtorch);
            count(&mut platform, tally)
        });
        step("TensorFlow", &mut tally, |tally| {
            let tensorflow = fetch(&libraries::named("tensorflow")?)?.join("libtensorflow_cc.so.2");
            let mut platform = cargo(["test", "--no-fail-fast", "--package", "salver-platforms-tensorflow"]);
            count(platform.env("SALVER_TENSORFLOW_LIBRARY", tensorflow), tally)
        });
    }

    step("end to end", &mut tally, |tally| {
        let platforms: &[Platform] = if args.all_platforms { &Platform::ALL } else { &Platform::LIGHT };
        bundle::make(&bundle, platforms, false)?;
        let mut end_to_end = cargo(["test", "--no-fail-fast", "--package", "salver-tests"]);
        if args.all_platforms {
            end_to_end.env("SALVER_SILERO_VAD", fetch(&libraries::named("silero-vad")?)?);
        }
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
        tally.fail(format!("{name}: {error:#}"));
    }
    println!("== {name}: {:.1} s", begin.elapsed().as_secs_f64());
}

/// Runs test programs, shows what they say, and adds it up.
pub(crate) fn count(command: &mut Command, tally: &mut Tally) -> anyhow::Result<()> {
    let failed_before = tally.failed;
    let mut child = command.stdout(Stdio::piped()).spawn().context("starting cargo")?;
    let output = child.stdout.take().context("reading what cargo says")?;
    for line in BufReader::new(output).split(b'\n') {
        // A test may print what is not UTF-8.
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.read(&line);
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == failed_before {
        bail!("cargo ended with {status} before the tests did");
    }
    Ok(())
}
