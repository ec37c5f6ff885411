//! What a request's headers say beside its content: its deadline and its place in a trace.

use std::time::{Duration, Instant};

use http::HeaderMap;
use salver_core_platform::{RunContext, TraceContext};

/// The parts of a request that every call carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// When the answer is of no more use.
    pub(crate) deadline: Option<Instant>,
    trace: TraceContext,
}

impl Head {
    /// Reads the headers of a request that may take `timeout` from `now`. A `traceparent` that is none is passed over,
    /// as W3C Trace Context has it.
    pub(crate) fn read(headers: &HeaderMap, timeout: Option<Duration>, now: Instant) -> Self {
        let trace = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let trace = trace.and_then(parse_traceparent).unwrap_or_default();
        // A deadline that no clock reaches is none.
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        Self { deadline, trace }
    }

    /// The same, with a deadline no later than `timeout` from `now`.
    #[must_use]
    pub(crate) fn within(mut self, timeout: Duration, now: Instant) -> Self {
        let wanted = now.checked_add(timeout);
        self.deadline = [self.deadline, wanted].into_iter().flatten().min();
        self
    }

    /// The context of the request's run.
    pub(crate) fn context(&self) -> RunContext {
        RunContext { deadline: self.deadline, trace: self.trace, ..RunContext::default() }
    }
}

/// `00-<trace id>-<span id>-<flags>` in lower-case hexadecimal digits.
fn parse_traceparent(text: &str) -> Option<TraceContext> {
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
            &format!("00-{trace}-+7ad6b7169203331-01"),
            &format!("00-{trace}-b7ad6b71692033-01"),
        ] {
            assert_eq!(parse_traceparent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_earlier_deadline_counts() {
        let now = Instant::now();
        let head = Head::read(&HeaderMap::new(), Some(Duration::from_secs(9)), now);
        let after = |seconds| Some(now + Duration::from_secs(seconds));
        assert_eq!(head.deadline, after(9));
        assert_eq!(head.within(Duration::from_secs(5), now).deadline, after(5));
        assert_eq!(head.within(Duration::from_secs(50), now).deadline, after(9));
        assert_eq!(head.within(Duration::MAX, now).deadline, after(9));
    }
}
