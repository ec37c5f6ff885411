//! `cargo xtask bench`: packs the server where that is measured, and runs `benches`, which prints each figure beside its
//! promise.
//!
//! A promise that is missed is a line to read, not a failure: machines differ.

use std::path::PathBuf;
use std::process::Command;

use crate::fetch::fetch;
use crate::test::test_bundle;
use crate::workspace::{cargo, run as run_command, target};
use crate::{bundle, libraries};

/// What compares frameworks with themselves.
const PLATFORMS: &str = "platforms";

/// What measures the plugin interface alone.
const BOUNDARY: &str = "boundary";

/// What is measured without the server.
const BARE: [&str; 1] = ["lookup"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which measurements; all of them where none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Draw throughput and latency over batch sizes and waits, as an SVG; takes minutes more
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let bundle = test_bundle();
    let is_bare = |name: &String| BARE.contains(&name.as_str());
    // Only where it is named: it fetches and builds more than a gigabyte.
    let all_platforms = args.names.iter().any(|name| name == PLATFORMS);
    if all_platforms {
        bundle::make(&bundle, &bundle::Platform::ALL, false)?;
    } else if args.names.is_empty() || !args.names.iter().all(is_bare) {
        bundle::make(&bundle, &bundle::Platform::LIGHT, false)?;
    }
    let mut benches = cargo(["run", "--quiet", "--release", "--package", "salver-benches", "--"]);
    if all_platforms {
        own_loops(&mut benches)?;
    }
    if let Some(plot) = &args.plot {
        benches.env("SALVER_PLOT", std::path::absolute(plot)?);
    }
    let mut names = args.names.clone();
    // What it costs that they are plugins belongs to it.
    names.extend(all_platforms.then(|| BOUNDARY.to_owned()));
    run_command(benches.args(&names).env("SALVER_BUNDLE", &bundle))
}

/// Builds each framework's own loop, and tells `benches` where they and their libraries are.
fn own_loops(benches: &mut Command) -> anyhow::Result<()> {
    let onnxruntime = libraries::named("onnxruntime")?;
    let library = fetch(&onnxruntime)?.join(format!("libonnxruntime.so.{}", onnxruntime.version));
    benches.env("SALVER_ONNXRUNTIME_LIBRARY", library);
    let tensorflow = fetch(&libraries::named("tensorflow")?)?;
    benches.env("SALVER_TENSORFLOW_LIBRARY", tensorflow.join("libtensorflow_cc.so.2"));
    let libtorch = fetch(&libraries::named("libtorch")?)?;
    benches.env("LD_LIBRARY_PATH", libtorch.join("lib"));
    for platform in ["onnxruntime", "libtorch", "tensorflow"] {
        let (package, example) = (format!("salver-platforms-{platform}"), format!("{platform}_loop"));
        let mut build =
            cargo(["build", "--quiet", "--release", "--example", &example, "--package", &package]);
        if platform == "libtorch" {
            bundle::with_libtorch(&mut build, &libtorch);
        }
        run_command(&mut build)?;
        let built = target().join("release/examples").join(example);
        benches.env(format!("SALVER_OWN_LOOP_{}", platform.to_uppercase()), built);
    }
    Ok(())
}
