//! `salver worker`: a process that a server has started for a platform.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum as _;
use salver_server_config::{ServeArgs, WorkerArgs};

use crate::telemetry;

/// This program as a worker that logs as this server does. The link leads to this very file, also when there is a newer one
/// in its place.
pub(crate) fn program(args: &ServeArgs) -> (PathBuf, Vec<OsString>) {
    let format = args.log_format.to_possible_value().map(|format| format.get_name().to_owned());
    let words = ["worker", "--log-level", &args.log_level, "--log-format", &format.unwrap_or_default()];
    (PathBuf::from("/proc/self/exe"), words.map(OsString::from).into())
}

#[expect(clippy::print_stderr, reason = "this is what a person sees who starts it by hand")]
pub(crate) fn work(args: &WorkerArgs) -> ExitCode {
    let started = telemetry::start(&args.log_level, args.log_format);
    let worked =
        started.and_then(|()| salver_server_embed::work().map_err(|status| status.message().to_owned()));
    match worked {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("salver worker: {message}");
            ExitCode::FAILURE
        }
    }
}
