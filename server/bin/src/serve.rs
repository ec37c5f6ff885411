//! `salver serve`, from flags to exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use salver_server_config::{ServeArgs, ServeConfig};
use salver_server_embed::{Outcome, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{USAGE, telemetry, worker};

pub(crate) fn serve(args: &ServeArgs) -> ExitCode {
    let config = match args.validate().and_then(|config| {
        telemetry::start(&args.log_level, args.log_format)?;
        Ok(ServeConfig { worker: Some(worker::program(args)), ..config })
    }) {
        Ok(config) => config,
        Err(message) => return complain(&message, USAGE),
    };
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("salver-io").enable_all().build();
    let outcome = runtime.context("starting threads").and_then(|runtime| {
        let outcome = runtime.block_on(run(&config));
        // A run that was cut may still hold its thread; the process ends without it.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(Outcome::Drained) => ExitCode::SUCCESS,
        Ok(Outcome::Cut) => ExitCode::FAILURE,
        Err(error) => complain(&format!("{error:#}"), 1),
    }
}

#[expect(clippy::print_stderr, reason = "this is what a person sees whose server did not start")]
fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("salver: {message}");
    ExitCode::from(code)
}

async fn run(config: &ServeConfig) -> anyhow::Result<Outcome> {
    // Signals first: one that arrives while models are being loaded must not be lost.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut hurry = (
        signal(SignalKind::terminate()).context("listening for SIGTERM")?,
        signal(SignalKind::interrupt()).context("listening for SIGINT")?,
    );
    let server = Server::start(config).await.map_err(|status| anyhow::anyhow!("{}", status.message()))?;
    let stop = async move {
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal, "stopping; requests under way are finished first");
    };
    tokio::select! {
        outcome = server.run(stop) => Ok(outcome),
        () = second_signal(&mut hurry) => {
            tracing::warn!("asked to stop a second time; what is under way is cut");
            // Not by returning: that waits for loads and runs, which is what nobody wants to do any more.
            std::process::exit(1);
        }
    }
}

/// Waits for the second of two signals to stop, of either kind.
async fn second_signal((terminate, interrupt): &mut (Signal, Signal)) {
    for _ in 0..2 {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
