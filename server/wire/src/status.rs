//! Codes as HTTP statuses, and messages at the length TensorFlow Serving allows them.

use std::borrow::Cow;

use salver_core_status::Code;

/// The HTTP status of a failure under `/v1`, as TensorFlow Serving's REST interface has it.
pub const fn tensorflow_serving_http_status(code: Code) -> u16 {
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
pub const fn open_inference_http_status(code: Code) -> u16 {
    match code {
        Code::Unknown | Code::AlreadyExists | Code::Cancelled => 400,
        other => tensorflow_serving_http_status(other),
    }
}

/// A message at the length that TensorFlow Serving sends over gRPC: at most 1024 bytes, and a mark where it was cut.
pub fn truncated(message: &str) -> Cow<'_, str> {
    const MAX_BYTES: usize = 1024;
    if message.len() <= MAX_BYTES {
        return Cow::Borrowed(message);
    }
    let end = message.floor_char_boundary(MAX_BYTES);
    Cow::Owned(format!("{}...TRUNCATED", message.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(truncated("short"), "short");
        let long = format!("{}é", "x".repeat(1023));
        assert_eq!(truncated(&long), format!("{}...TRUNCATED", "x".repeat(1023)));
    }

    #[test]
    fn every_failure_is_a_client_or_a_server_error() {
        for code in Code::ALL {
            assert!((400..=504).contains(&tensorflow_serving_http_status(code)), "{code:?}");
            assert!((400..=504).contains(&open_inference_http_status(code)), "{code:?}");
        }
    }

    #[test]
    fn the_two_tables_differ_where_the_two_servers_do() {
        let both = |code| (tensorflow_serving_http_status(code), open_inference_http_status(code));
        assert_eq!(both(Code::NotFound), (404, 404));
        assert_eq!(both(Code::Cancelled), (499, 400));
        assert_eq!(both(Code::ResourceExhausted), (429, 429));
        assert_eq!(both(Code::DeadlineExceeded), (504, 504));
    }
}
