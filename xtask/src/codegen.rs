//! `cargo xtask codegen`: runs the generator, a crate of its own because it takes minutes to build.

use crate::workspace::{cargo, run as run_command};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if what is committed is not what would be written
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut generator = cargo(["run", "--quiet", "--package", "salver-xtask-codegen", "--"]);
    if args.check {
        generator.arg("--check");
    }
    run_command(&mut generator)
}
