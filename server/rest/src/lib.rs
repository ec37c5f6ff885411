//! The REST interfaces of both protocols.
//!
//! [`routes`] answers for TensorFlow Serving's `/v1/models/...` and the Open Inference Protocol's `/v2/...`. What a
//! request means is decided in `salver-server-inference`, how its tensors are read and written in
//! `salver-server-json`; here are paths, headers, bodies and statuses.
//!
//! Every answer has a JSON body, errors too: `{"error": "..."}`. A body is read up to a limit that holds before and
//! after decompression. What takes long on a large body, reading and writing JSON and compressing, leaves the threads
//! that serve connections.

mod body;
mod encoding;
mod failure;
mod head;
mod target;
mod v1;
mod v2;
mod work;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::routing::any;
use salver_server_inference::Inference;
use tower_http::cors::{Any, CorsLayer};

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest body in bytes, before and after decompression.
    pub max_request_bytes: usize,
    /// How long a request may take, from its headers to its answer; `None` for any time.
    pub timeout: Option<Duration>,
    /// Whether pages of any origin may ask, from a browser.
    pub any_origin: bool,
}

/// What every request is given.
struct App {
    inference: Arc<Inference>,
    options: Options,
}

/// Everything under `/v1` and `/v2`. Paths outside are left to whoever merges these routes.
pub fn routes(inference: Arc<Inference>, options: Options) -> Router {
    // Neither protocol's paths fit the router: a captured part may not be followed by `:predict`, and TensorFlow
    // Serving answers a path that it does not know in its own way. So each has a parser of its own.
    let (v1, v2) = (any(v1::answer), any(v2::answer));
    let routes = Router::new()
        .route("/v1", v1.clone())
        .route("/v1/", v1.clone())
        .route("/v1/{*rest}", v1.clone())
        // TensorFlow Serving's paths are the same in capitals.
        .route("/V1/{*rest}", v1)
        .route("/v2", v2.clone())
        .route("/v2/", v2.clone())
        .route("/v2/{*rest}", v2)
        .with_state(Arc::new(App { inference, options }));
    if options.any_origin { routes.layer(any_origin()) } else { routes }
}

/// Says to browsers what TensorFlow Serving does; beside it, of the binary data extension, the header that both sides need.
fn any_origin() -> CorsLayer {
    let header_length = HeaderName::from_static("inference-header-content-length");
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::POST, Method::GET])
        .allow_headers([CONTENT_TYPE, header_length.clone()])
        .expose_headers([header_length])
}

#[cfg(test)]
mod tests;
