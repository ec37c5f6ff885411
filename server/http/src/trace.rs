//! Where a request belongs in a distributed trace.

use http::HeaderMap;
use salver_core_platform::TraceContext;

/// What the header `traceparent` says. One that is malformed is passed over, as W3C Trace Context has it.
pub fn trace_context(headers: &HeaderMap) -> TraceContext {
    let value = headers.get("traceparent").and_then(|value| value.to_str().ok());
    value.and_then(parse).unwrap_or_default()
}

/// `00-<trace id>-<span id>-<flags>` in lower-case hexadecimal digits.
fn parse(text: &str) -> Option<TraceContext> {
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        let part = parts.next()?;
        let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (part.len() == length && is_hex).then_some(part)
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    // Later versions may add parts; 255 is never a version.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some(TraceContext { trace_id: trace.to_be_bytes(), span_id: span.to_be_bytes(), flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_a_wrong_one_passed_over() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let read = parse(&format!("00-{trace}-b7ad6b7169203331-01")).unwrap();
        assert_eq!((read.trace_id[0], read.span_id[7], read.flags), (0x0a, 0x31, 1));
        assert!(parse(&format!("01-{trace}-b7ad6b7169203331-01-more")).is_some());
        let zero = "0".repeat(32);
        for wrong in [
            "",
            "00",
            &format!("00-{trace}-b7ad6b7169203331-01-more"),
            &format!("ff-{trace}-b7ad6b7169203331-01"),
            &format!("00-{zero}-b7ad6b7169203331-01"),
            &format!("00-{trace}-b7ad6b716920333G-01"),
            &format!("00-{trace}-+7ad6b7169203331-01"),
            &format!("00-{trace}-b7ad6b71692033-01"),
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
