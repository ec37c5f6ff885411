//! `salver serve`, from flags to exit code.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use salver_core_status::Status;
use salver_proto::tensorflow::serving::ModelServerConfig;
use salver_server_assembly::{Assembly, Control};
use salver_server_config::{Listen, ModelList, RestPort, ServeArgs, ServeConfig};
use salver_server_grpc::Reload;
use salver_server_listen::{Budget, Options, Outcome};
use salver_server_metrics::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{USAGE, telemetry};

pub(crate) fn serve(args: &ServeArgs) -> ExitCode {
    let config = match args.validate().and_then(|config| {
        telemetry::start(&args.log_level, args.log_format)?;
        Ok(config)
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
    let listeners = bind(&config.listen).await?;
    let registry = Arc::new(Registry::new());
    let assembly = Assembly::start(config, Arc::clone(&registry))?;
    let app = app(config, &assembly, registry);
    let limits = &config.limits;
    let options = Options {
        max_connections: limits.max_connections,
        budget: Budget::new(limits.max_inflight_bytes),
        drain_timeout: limits.drain_timeout,
    };
    let serving = async {
        let stop = async {
            let signal = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal, "stopping; requests under way are finished first");
            assembly.drain();
        };
        let outcome = salver_server_listen::serve(listeners, app, options, stop).await;
        if outcome == Outcome::Cut {
            tracing::warn!(limit = ?limits.drain_timeout, "some requests did not finish in time");
        }
        let timeout = limits.drain_timeout;
        let all_gone =
            tokio::task::spawn_blocking(move || assembly.shut_down(timeout)).await.unwrap_or(false);
        tracing::info!(all_unloaded = all_gone, "stopped");
        outcome
    };
    tokio::select! {
        outcome = serving => Ok(outcome),
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

/// Everything that answers, on every port.
fn app(config: &ServeConfig, assembly: &Assembly, registry: Arc<Registry>) -> Router {
    let inference = assembly.inference();
    let limits = &config.limits;
    let metrics = get(move || {
        let text = registry.expose();
        async move { ([(CONTENT_TYPE, salver_server_metrics::CONTENT_TYPE)], text) }
    });
    let grpc = salver_server_grpc::Options { max_request_bytes: limits.max_request_bytes };
    let rest = salver_server_rest::Options {
        max_request_bytes: limits.max_request_bytes,
        timeout: limits.rest_timeout,
    };
    let reload = Arc::new(Reloading(assembly.control()));
    salver_server_rest::routes(Arc::clone(&inference), rest)
        .merge(salver_server_grpc::routes(inference, reload, grpc))
        .route("/metrics", metrics.clone())
        // Where TensorFlow Serving's are, in every example of its monitoring configuration.
        .route("/monitoring/prometheus/metrics", metrics)
        .fallback(nothing_here)
}

/// Reads the list of models that a client sends.
struct Reloading(Arc<Control>);

impl Reload for Reloading {
    fn reload(&self, config: ModelServerConfig, deadline: Option<Instant>) -> Result<(), Status> {
        self.0.reload(&ModelList::from_proto(config)?, deadline)
    }
}

/// Answers a path that nobody serves, in the form of its protocol.
async fn nothing_here(request: Request) -> Response {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        return tonic::Status::unimplemented("there is no such service").into_http();
    }
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "application/json")], r#"{"error":"Not Found"}"#).into_response()
}

async fn bind(listen: &Listen) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = vec![bind_one(SocketAddr::new(listen.host, listen.port)).await?];
    match listen.rest_port {
        RestPort::None => {}
        RestPort::Wanted(port) => listeners.push(bind_one(SocketAddr::new(listen.host, port)).await?),
        RestPort::IfFree(port) => match bind_one(SocketAddr::new(listen.host, port)).await {
            Ok(listener) => listeners.push(listener),
            Err(error) => tracing::warn!("{error:#}; gRPC and REST are on port {}", listen.port),
        },
    }
    Ok(listeners)
}

async fn bind_one(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    let address = listener.local_addr().context("asking for the port")?;
    tracing::info!(%address, "listening for gRPC and REST");
    Ok(listener)
}
