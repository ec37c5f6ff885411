//! What a request's metadata say: its deadline and its place in a trace.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::request::Parts;
use salver_core_platform::TraceContext;
use salver_core_status::{Quoted, Status};
use salver_server_http::{Account, trace_context};
use salver_server_inference::{PRIORITY, priority};

/// The parts of a request that every call carries.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// When the request arrived.
    pub(crate) arrived: Instant,
    /// When the answer is of no more use.
    pub(crate) deadline: Option<Instant>,
    /// Where the request belongs in a trace.
    pub(crate) trace: TraceContext,
    /// Which requests it goes before.
    pub(crate) priority: Option<u32>,
    /// What its memory is charged to.
    pub(crate) account: Account,
}

impl Head {
    /// Reads a request's metadata; a timeout counts from `now`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a `grpc-timeout` or a priority that is none.
    pub(crate) fn parse(parts: &Parts, now: Instant) -> Result<Self, Status> {
        let headers = &parts.headers;
        let deadline = match text(headers, "grpc-timeout") {
            None => None,
            // A deadline that no clock reaches is none.
            Some(timeout) => now.checked_add(parse_timeout(timeout)?),
        };
        Ok(Self {
            arrived: now,
            deadline,
            trace: trace_context(headers),
            priority: priority(headers.get(PRIORITY).map(|value| value.as_bytes()))?,
            account: Account::of(&parts.extensions),
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Up to eight digits and a unit, as in the gRPC protocol over HTTP/2.
fn parse_timeout(text: &str) -> Result<Duration, Status> {
    let wrong = || {
        let text = Quoted(text);
        Status::invalid_argument(format!(
            "grpc-timeout is {text}, wanted up to 8 digits and one of H, M, S, m, u, n"
        ))
    };
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let value: u64 = digits.parse().map_err(|_| wrong())?;
    match unit {
        "H" => Ok(Duration::from_secs(value * 3600)),
        "M" => Ok(Duration::from_secs(value * 60)),
        "S" => Ok(Duration::from_secs(value)),
        "m" => Ok(Duration::from_millis(value)),
        "u" => Ok(Duration::from_micros(value)),
        "n" => Ok(Duration::from_nanos(value)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_digits_and_a_unit() {
        assert_eq!(parse_timeout("5S"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_timeout("99999999H"), Ok(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse_timeout("250m"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_timeout("7u"), Ok(Duration::from_micros(7)));
        for wrong in ["", "S", "5", "5s", "-5S", "123456789S", "5é", "1.5S"] {
            assert!(parse_timeout(wrong).is_err(), "{wrong}");
        }
    }
}
