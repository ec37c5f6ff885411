//! What the errors of a store mean, to a person and to whoever tries again.

use std::error::Error;
use std::fmt;

use http::StatusCode;
use salver_core_status::{Code, Status};

/// An answer that was no success, kept as it was: `object_store` tells of some no more than a text.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        match (element(&self.body, "Code"), element(&self.body, "Message")) {
            (Some(code), Some(message)) => write!(f, ", {code}: {message}"),
            (Some(code), None) => write!(f, ", {code}"),
            _ => Ok(()),
        }
    }
}

impl Error for Refused {}

impl Refused {
    fn code(&self) -> Code {
        match self.status {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::NOT_FOUND | StatusCode::GONE => Code::NotFound,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Code::Unavailable,
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => Code::Aborted,
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            status if status.is_server_error() => Code::Unavailable,
            _ => Code::FailedPrecondition,
        }
    }
}

/// What the stores of S3 and Azure say within an element of their answers.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    (!text.is_empty()).then_some(text)
}

/// The status that an error stands for: NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED, INVALID_ARGUMENT; ABORTED where
/// the object is not the one that was meant; UNAVAILABLE of everything that may pass.
pub(crate) fn explain(doing: impl fmt::Display, error: &object_store::Error) -> Status {
    if let Some(refused) = refused(error) {
        return status(refused.code(), doing, &refused.to_string());
    }
    use object_store::Error as E;
    let code = match error {
        E::NotFound { .. } => Code::NotFound,
        E::InvalidPath { .. } | E::UnknownConfigurationKey { .. } => Code::InvalidArgument,
        E::NotSupported { .. } | E::NotImplemented { .. } => Code::Unimplemented,
        E::Precondition { .. } | E::NotModified { .. } | E::AlreadyExists { .. } => Code::Aborted,
        E::PermissionDenied { .. } => Code::PermissionDenied,
        E::Unauthenticated { .. } => Code::Unauthenticated,
        _ => Code::Unavailable,
    };
    status(code, doing, &error.to_string())
}

/// As [`explain`], of a request made without the crate's help.
pub(crate) fn explain_http(doing: impl fmt::Display, error: &object_store::client::HttpError) -> Status {
    match refused(error) {
        Some(refused) => status(refused.code(), doing, &refused.to_string()),
        None => {
            let mut text = error.to_string();
            let mut cause = error.source().and_then(Error::source);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            status(Code::Unavailable, doing, &text)
        }
    }
}

/// The answer among the causes of an error.
fn refused<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Refused> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

/// What a server says is cut where it is long, and has no lines: it ends in a log.
pub(crate) fn status(code: Code, doing: impl fmt::Display, what: &str) -> Status {
    const SHOWN: usize = 300;
    let line = |character: char| if character.is_control() { ' ' } else { character };
    let mut shown: String = what.chars().take(SHOWN).map(line).collect();
    if shown.len() < what.len() {
        shown += "...";
    }
    Status::new(code, format!("{doing}: {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_with_what_the_store_says_of_it_and_in_one_line() {
        let body = "<Error><Code>NoSuchBucket</Code><Message>The\nbucket</Message></Error>".to_owned();
        let refused = Refused { status: StatusCode::NOT_FOUND, body };
        let source = Box::new(object_store::client::HttpError::new(
            object_store::client::HttpErrorKind::Unknown,
            refused,
        ));
        let status = explain("listing `s3://b`", &object_store::Error::Generic { store: "S3", source });
        let said = "listing `s3://b`: the server answered 404 Not Found, NoSuchBucket: The bucket";
        assert_eq!(status, Status::not_found(said));
    }

    #[test]
    fn what_may_pass_is_unavailable_and_what_does_not_is_not() {
        for (number, code) in [
            (400, Code::InvalidArgument),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::NotFound),
            (405, Code::FailedPrecondition),
            (412, Code::Aborted),
            (429, Code::Unavailable),
            (500, Code::Unavailable),
            (503, Code::Unavailable),
        ] {
            let status = StatusCode::from_u16(number).unwrap();
            assert_eq!(Refused { status, body: String::new() }.code(), code, "{number}");
        }
    }

    #[test]
    fn a_long_answer_is_cut() {
        let status = status(Code::Unavailable, "x", &"y".repeat(10_000));
        assert!(status.message().len() < 400);
    }
}
