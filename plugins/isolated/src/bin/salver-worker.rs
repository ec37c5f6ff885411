//! A worker on its own: what a program that embeds the server has started where it is not one itself. Steps inside models
//! are not batched in it; `salver plugin-host` batches them.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "this is what a person sees who starts it by hand")]
fn main() -> ExitCode {
    match salver_plugins_isolated::work(std::sync::Arc::clone(salver_core_platform::unbatched())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(status) => {
            eprintln!("salver-worker: {}", status.message());
            ExitCode::FAILURE
        }
    }
}
