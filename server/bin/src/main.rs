//! The `salver` program.
//!
//! `salver serve` reads its flags, opens its ports, loads models and answers until it is told to stop; then it lets
//! requests under way finish. `salver model` changes what a model says of itself, its labels for one. `salver plugin
//! inspect` looks at plugin libraries without running them, and `salver plugin check` runs what every platform and every
//! source must do.

mod check;
mod inspect;
mod model;
mod serve;
mod telemetry;
mod worker;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use salver_server_config::{Cli, Command, PluginCommand};

/// The exit code for a command line that cannot be right, as in `sysexits.h`.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    salver_server_memory::configure();
    let cli = match Cli::try_parse_from(words(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" that were asked for. Printing fails only where nobody reads.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Serve(args) => serve::serve(&args),
        Command::Model(args) => model::change(&args),
        Command::Plugin(PluginCommand::Inspect { files }) => inspect::inspect(&files),
        Command::Plugin(PluginCommand::Check(args)) => check::check(&args),
        Command::Worker(args) => worker::work(&args),
    }
}

/// The command line; called as TensorFlow Serving's program is, by a link, that of `salver serve`.
fn words(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<_> = arguments.collect();
    let program = words.first().and_then(|program| Path::new(program).file_name());
    if program.is_some_and(|name| name == "tensorflow_model_server") {
        words.insert(1, "serve".into());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn called_by_the_name_of_tensorflow_serving_s_program_it_serves() {
        let words = |line: &str| words(line.split(' ').map(OsString::from));
        let serve: Vec<OsString> =
            ["/usr/bin/tensorflow_model_server", "serve", "--port=9"].map(Into::into).into();
        assert_eq!(words("/usr/bin/tensorflow_model_server --port=9"), serve);
        assert_eq!(words("salver plugin inspect").len(), 3);
    }
}
