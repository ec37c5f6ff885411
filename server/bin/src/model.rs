//! `salver model`, from flags to exit code.

use std::process::ExitCode;

use salver_server_config::{ModelArgs, edit_model};

/// Changes a model's settings file as asked.
#[expect(clippy::print_stderr, reason = "this is what a person sees whose change was refused")]
pub(crate) fn change(args: &ModelArgs) -> ExitCode {
    match edit_model(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(status) => {
            eprintln!("salver: {status}");
            ExitCode::FAILURE
        }
    }
}
