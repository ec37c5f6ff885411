//! Codes as HTTP statuses, and the status behind a failed body.

use std::error::Error;

use salver_core_status::{Code, Status};

/// The HTTP status of a failure under `/v1`, as TensorFlow Serving has it.
pub const fn tensorflow_serving_status(code: Code) -> u16 {
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
pub const fn open_inference_status(code: Code) -> u16 {
    match code {
        Code::Unknown | Code::AlreadyExists | Code::Cancelled => 400,
        other => tensorflow_serving_status(other),
    }
}

/// The status among an error and its causes: whoever cuts a body off says why with one.
pub fn status_behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Status> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(status) = error.downcast_ref() {
            return Some(status);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_client_or_a_server_error_in_both_tables() {
        for code in Code::ALL {
            assert!((400..=504).contains(&tensorflow_serving_status(code)), "{code:?}");
            assert!((400..=504).contains(&open_inference_status(code)), "{code:?}");
        }
    }

    #[test]
    fn the_tables_differ_where_the_two_servers_do() {
        let both = |code| (tensorflow_serving_status(code), open_inference_status(code));
        assert_eq!(both(Code::NotFound), (404, 404));
        assert_eq!(both(Code::AlreadyExists), (409, 400));
        assert_eq!(both(Code::Cancelled), (499, 400));
        assert_eq!(both(Code::Unknown), (500, 400));
        assert_eq!(both(Code::ResourceExhausted), (429, 429));
        assert_eq!(both(Code::DeadlineExceeded), (504, 504));
    }

    #[test]
    fn the_status_behind_an_error_is_found_however_deep() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Status);
        let status = Status::unavailable("full");
        assert_eq!(status_behind(&Outer(status.clone())), Some(&status));
        assert_eq!(status_behind(&std::io::Error::other("gone")), None);
    }
}
