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
use axum::routing::any;
use salver_server_inference::Inference;

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest body in bytes, before and after decompression.
    pub max_request_bytes: usize,
    /// How long a request may take, from its headers to its answer; `None` for any time.
    pub timeout: Option<Duration>,
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
    Router::new()
        .route("/v1", v1.clone())
        .route("/v1/", v1.clone())
        .route("/v1/{*rest}", v1.clone())
        // TensorFlow Serving's paths are the same in capitals.
        .route("/V1/{*rest}", v1)
        .route("/v2", v2.clone())
        .route("/v2/", v2.clone())
        .route("/v2/{*rest}", v2)
        .with_state(Arc::new(App { inference, options }))
}

#[cfg(test)]
mod tests;
