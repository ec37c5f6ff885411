//! Failures as HTTP responses.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use salver_core_status::{Code, Status};
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
        Self::of(v1_status(status.code()), status)
    }

    /// The failure of a request under `/v2`.
    pub(crate) fn v2(status: Status) -> Self {
        Self::of(v2_status(status.code()), status)
    }

    fn of(number: u16, status: Status) -> Self {
        let number = StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(number, status.message())
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

/// The HTTP status of a failure under `/v1`, as TensorFlow Serving has it.
const fn v1_status(code: Code) -> u16 {
    match code {
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
    }
}

/// The HTTP status of a failure under `/v2`, as Triton has it; what Triton has no code for is as under `/v1`.
const fn v2_status(code: Code) -> u16 {
    match code {
        Code::Unknown | Code::AlreadyExists | Code::Cancelled => 400,
        other => v1_status(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_client_or_a_server_error_in_both_tables() {
        for code in Code::ALL {
            assert!((400..=504).contains(&v1_status(code)), "{code:?}");
            assert!((400..=504).contains(&v2_status(code)), "{code:?}");
        }
    }

    #[test]
    fn the_tables_differ_where_the_two_servers_do() {
        let both = |code| (v1_status(code), v2_status(code));
        assert_eq!(both(Code::NotFound), (404, 404));
        assert_eq!(both(Code::AlreadyExists), (409, 400));
        assert_eq!(both(Code::Cancelled), (499, 400));
        assert_eq!(both(Code::Unknown), (500, 400));
        assert_eq!(both(Code::DeadlineExceeded), (504, 504));
    }
}
