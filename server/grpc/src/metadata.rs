//! What a request's metadata say: its deadline and its place in a trace.

use std::time::{Duration, Instant};

use http::HeaderMap;
use salver_core_platform::TraceContext;
use salver_core_status::{Quoted, Status};

/// The parts of a request that every call carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// When the answer is of no more use.
    pub(crate) deadline: Option<Instant>,
    /// Where the request belongs in a trace.
    pub(crate) trace: TraceContext,
}

impl Head {
    /// Reads a request's metadata; a timeout counts from `now`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a `grpc-timeout` that is none. A `traceparent` that is none is passed over, as W3C Trace
    /// Context has it.
    pub(crate) fn parse(headers: &HeaderMap, now: Instant) -> Result<Self, Status> {
        let deadline = match text(headers, "grpc-timeout") {
            None => None,
            // A deadline that no clock reaches is none.
            Some(timeout) => now.checked_add(parse_timeout(timeout)?),
        };
        let trace = text(headers, "traceparent").and_then(parse_traceparent).unwrap_or_default();
        Ok(Self { deadline, trace })
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

/// `00-<trace id>-<span id>-<flags>` in lower-case hexadecimal digits.
fn parse_traceparent(text: &str) -> Option<TraceContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Later versions may add parts; 255 is never a version.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let [_version] = hex::<1>(version)?;
    let [flags] = hex::<1>(flags)?;
    let trace = TraceContext { trace_id: hex(trace)?, span_id: hex(span)?, flags };
    (trace.trace_id != [0; 16] && trace.span_id != [0; 8]).then_some(trace)
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
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

    #[test]
    fn a_traceparent_is_read_and_a_wrong_one_passed_over() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let read = parse_traceparent(&format!("00-{trace}-b7ad6b7169203331-01")).unwrap();
        assert_eq!((read.trace_id[0], read.span_id[7], read.flags), (0x0a, 0x31, 1));
        assert!(parse_traceparent(&format!("01-{trace}-b7ad6b7169203331-01-more")).is_some());
        let zero = "0".repeat(32);
        for wrong in [
            "",
            "00",
            &format!("00-{trace}-b7ad6b7169203331-01-more"),
            &format!("ff-{trace}-b7ad6b7169203331-01"),
            &format!("00-{zero}-b7ad6b7169203331-01"),
            &format!("00-{trace}-b7ad6b716920333G-01"),
            &format!("00-{trace}-b7ad6b71692033-01"),
        ] {
            assert_eq!(parse_traceparent(wrong), None, "{wrong}");
        }
    }
}
