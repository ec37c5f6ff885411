//! Failures as HTTP responses.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use salver_core_status::Status;
use salver_server_http::{open_inference_status, tensorflow_serving_status};
use serde::Serialize;

/// A response that says what went wrong, as `{"error": "..."}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// A failure of a status that no code has.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), header: None }
    }

    /// The same, with a header that says what would have been right.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, HeaderValue::from_static(value)));
        self
    }

    /// The failure of a request under `/v1`.
    pub(crate) fn v1(status: Status) -> Self {
        Self::of(tensorflow_serving_status(status.code()), status)
    }

    /// The failure of a request under `/v2`.
    pub(crate) fn v2(status: Status) -> Self {
        Self::of(open_inference_status(status.code()), status)
    }

    fn of(number: u16, status: Status) -> Self {
        let number = StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let failure = Self::new(number, status.message());
        // What is not available now may be soon: a load ends, a queue gets shorter. Seconds.
        if number == StatusCode::SERVICE_UNAVAILABLE {
            failure.with_header(header::RETRY_AFTER, "1")
        } else {
            failure
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Document {
            error: String,
        }
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            // Nobody else will tell: the client's user is not the one who can do something about it.
            tracing::error!(error = self.message, "a REST request failed");
        }
        let mut response = json(self.status, &Document { error: self.message });
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A response with `document` as its body.
pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => json_text(status, body),
        // Every document is made of structs, lists and strings, which always can be written.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A response whose body is written already.
pub(crate) fn json_text(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
