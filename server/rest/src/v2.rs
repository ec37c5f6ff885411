//! The Open Inference Protocol's REST interface.

mod infer;
mod path;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use salver_core_signature::TensorSpec;
use salver_core_status::Status;
use salver_server_inference::{Api, EXTENSIONS, Readiness};
use serde::Serialize;

use crate::App;
use crate::failure::{Failure, json};
use crate::head::Head;
use crate::target::Target;
use path::Action;

#[derive(Serialize)]
struct LiveDocument {
    live: bool,
}

#[derive(Serialize)]
struct ReadyDocument {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

#[derive(Serialize)]
struct ModelReadyDocument {
    name: String,
    ready: bool,
}

#[derive(Serialize)]
struct ServerDocument {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; EXTENSIONS.len()],
}

#[derive(Serialize)]
struct ModelDocument<'a> {
    name: &'a str,
    versions: Vec<String>,
    platform: &'a str,
    inputs: Vec<TensorDocument<'a>>,
    outputs: Vec<TensorDocument<'a>>,
}

#[derive(Serialize)]
struct TensorDocument<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [i64],
}

/// Answers whatever is asked under `/v2`.
pub(crate) async fn answer(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    match path::parse(&parts.method, parts.uri.path())? {
        // It does, or it would not answer.
        Action::Live => Ok(json(StatusCode::OK, &LiveDocument { live: true })),
        Action::Ready => Ok(ready(&app)),
        Action::Server => {
            let (name, version) = ("salver", env!("CARGO_PKG_VERSION"));
            Ok(json(StatusCode::OK, &ServerDocument { name, version, extensions: EXTENSIONS }))
        }
        Action::Model(target) => model(&app, &parts, &target).await.map_err(Failure::v2),
        Action::ModelReady(target) => Ok(model_ready(&app, target)),
        Action::Infer(target) => infer::infer(&app, &parts, body, target).await,
    }
}

/// Whether the server as a whole wants requests. The body is what KServe's client reads; Triton's looks at the status.
fn ready(app: &App) -> Response {
    let (status, error) = match app.inference.catalog().readiness() {
        Readiness::Ready => (StatusCode::OK, None),
        Readiness::Starting => (StatusCode::BAD_REQUEST, Some("the first models are still being loaded")),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, Some("the server is shutting down")),
    };
    json(status, &ReadyDocument { ready: error.is_none(), error })
}

/// Whether a version of a model is available; one that nobody has heard of is not, and that is no other failure.
fn model_ready(app: &App, target: Target) -> Response {
    let ready = app.inference.is_ready(&target.model, target.choice());
    let status = if ready { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    json(status, &ModelReadyDocument { name: target.model, ready })
}

/// What a model takes and returns by its default signature, and which of its versions are available.
async fn model(app: &App, parts: &Parts, target: &Target) -> Result<Response, Status> {
    let deadline = Head::read(&parts.headers, app.options.timeout, Instant::now()).deadline;
    let (api, name) = (Api::OpenInferenceRest, &target.model);
    let served = app.inference.resolve_or_load(api, name, target.choice(), deadline).await;
    let served = served.map_err(|error| error.to_open_inference_status())?;
    let versions = app.inference.available_versions(&target.model);
    let (_, signature) = served.default_signature()?;
    let document = ModelDocument {
        name: &target.model,
        versions: versions.iter().map(ToString::to_string).collect(),
        platform: served.platform(),
        inputs: signature.inputs.iter().map(tensor).collect(),
        outputs: signature.outputs.iter().map(tensor).collect(),
    };
    Ok(json(StatusCode::OK, &document))
}

/// The protocol has no word for any number of dimensions: that is shown as one dimension of any size.
fn tensor(spec: &TensorSpec) -> TensorDocument<'_> {
    let shape = spec.shape.dims().unwrap_or(&[-1]);
    TensorDocument { name: &spec.name, datatype: spec.dtype.name(), shape }
}
