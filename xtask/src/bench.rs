//! `cargo xtask bench`: packs the server where that is measured, and runs `benches`, which prints each figure beside its
//! promise.
//!
//! A promise that is missed is a line to read, not a failure: machines differ.

use std::path::PathBuf;

use crate::bundle;
use crate::test::test_bundle;
use crate::workspace::{cargo, run as run_command};

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
    if args.names.is_empty() || !args.names.iter().all(is_bare) {
        bundle::make(&bundle, &bundle::Platform::LIGHT, false)?;
    }
    let mut benches = cargo(["run", "--quiet", "--release", "--package", "salver-benches", "--"]);
    if let Some(plot) = &args.plot {
        benches.env("SALVER_PLOT", std::path::absolute(plot)?);
    }
    run_command(benches.args(&args.names).env("SALVER_BUNDLE", &bundle))
}
