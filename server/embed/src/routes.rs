//! Everything that answers, on every port.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use salver_core_status::Status;
use salver_proto::tensorflow::serving::ModelServerConfig;
use salver_server_assembly::{Assembly, Control};
use salver_server_config::{Answers, Limits, ModelList, ServeConfig};
use salver_server_grpc::Reload;
use salver_server_metrics::Registry;

pub(crate) fn routes(config: &ServeConfig, assembly: &Assembly, registry: Arc<Registry>) -> Router {
    let inference = assembly.inference();
    let metrics = get(move || {
        let text = registry.expose();
        async move { ([(CONTENT_TYPE, salver_server_metrics::CONTENT_TYPE)], text) }
    });
    let Limits { max_request_bytes, rest_timeout, .. } = config.limits;
    let Answers { tensor_content, any_origin } = config.answers;
    let grpc = salver_server_grpc::Options { max_request_bytes, tensor_content };
    let rest = salver_server_rest::Options { max_request_bytes, timeout: rest_timeout, any_origin };
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
