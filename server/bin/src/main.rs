//! The `salver` program.
//!
//! `salver serve` reads its flags, opens its ports, loads models and answers until it is told to stop; then it lets
//! requests under way finish. `salver plugin inspect` looks at plugin libraries without running them.

mod inspect;
mod serve;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;
use salver_server_config::{Cli, Command, PluginCommand};

/// The exit code for a command line that cannot be right, as in `sysexits.h`.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    salver_server_memory::configure();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" that were asked for. Printing fails only where nobody reads.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Serve(args) => serve::serve(&args),
        Command::Plugin(PluginCommand::Inspect { files }) => inspect::inspect(&files),
    }
}
