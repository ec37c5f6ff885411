//! What a request says of its place among others: the Open Inference Protocol's parameters `timeout` and `priority`.

use std::time::{Duration, Instant};

use salver_core_platform::{OptionValue, Options};
use salver_core_status::{Quoted, Status};

use crate::Served;

/// The header, or gRPC metadata, by which a request of any protocol says its priority: a whole number, 1 the highest, 0 for
/// the model's default.
pub const PRIORITY: &str = "salver-priority";

/// What the header [`PRIORITY`] says, where there is one.
///
/// # Errors
/// INVALID_ARGUMENT where it is no whole number, 0 or more.
pub fn priority(header: Option<&[u8]>) -> Result<Option<u32>, Status> {
    let Some(header) = header else { return Ok(None) };
    let text = String::from_utf8_lossy(header);
    text.trim().parse().map(Some).map_err(|_| {
        Status::invalid_argument(format!(
            "header `{PRIORITY}` is {}, wanted a whole number, 0 or more",
            Quoted(&text)
        ))
    })
}

/// Makes what the header said a request's parameter `priority`, unless it has one.
pub fn with_priority(priority: Option<u32>, mut parameters: Options) -> Options {
    if let Some(priority) = priority
        && parameters.iter().all(|(name, _)| name != "priority")
    {
        parameters.set("priority", OptionValue::Int(priority.into()));
    }
    parameters
}

/// The deadline of a request for a signature of `served` that arrived at `start` with these parameters: `deadline`, or what
/// its parameter `timeout`, in microseconds, makes of it where that is earlier. Zero asks for none. Where it will wait in a
/// queue that lets it say for how long, the parameter is for the queue, as in Triton, and the deadline stays.
///
/// # Errors
/// INVALID_ARGUMENT where the parameter is not a whole number, 0 or more.
pub fn with_timeout(
    served: &Served,
    signature: usize,
    deadline: Option<Instant>,
    parameters: &Options,
    start: Instant,
) -> Result<Option<Instant>, Status> {
    if served.timeout_is_for_the_queue(signature, parameters) {
        return Ok(deadline);
    }
    earlier(deadline, parameters, start)
}

fn earlier(
    deadline: Option<Instant>,
    parameters: &Options,
    start: Instant,
) -> Result<Option<Instant>, Status> {
    let micros = match parameters.int("timeout").map_err(|status| status.context("parameter `timeout`"))? {
        None | Some(0) => return Ok(deadline),
        Some(micros) => u64::try_from(micros).map_err(|_| {
            Status::invalid_argument(format!(
                "parameter `timeout` is {micros}, wanted microseconds, 0 or more"
            ))
        })?,
    };
    // A deadline that no clock reaches is none.
    let wanted = start.checked_add(Duration::from_micros(micros));
    Ok([deadline, wanted].into_iter().flatten().min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_deadline_counts() {
        let start = Instant::now();
        let after = |micros| Some(start + Duration::from_micros(micros));
        let deadline = |micros| {
            let mut parameters = Options::new();
            parameters.set("timeout", OptionValue::Int(micros));
            earlier(after(9), &parameters, start)
        };
        assert_eq!(deadline(0), Ok(after(9)));
        assert_eq!(deadline(5), Ok(after(5)));
        assert_eq!(deadline(50), Ok(after(9)));
        assert!(deadline(-1).is_err());
        assert_eq!(earlier(None, &Options::new(), start), Ok(None));
    }

    #[test]
    fn a_header_says_the_priority_where_no_parameter_does() {
        let read = |header: Option<&[u8]>, said: Option<i64>| {
            let mut parameters = Options::new();
            if let Some(said) = said {
                parameters.set("priority", OptionValue::Int(said));
            }
            let priority = priority(header).map_err(|status| status.to_string())?;
            with_priority(priority, parameters).int("priority").map_err(|status| status.to_string())
        };
        assert_eq!(read(None, None), Ok(None));
        assert_eq!(read(Some(b" 2 "), None), Ok(Some(2)));
        assert_eq!(read(Some(b"2"), Some(1)), Ok(Some(1)));
        let wanted = "header `salver-priority` is `high`, wanted a whole number, 0 or more";
        assert_eq!(read(Some(b"high"), None), Err(wanted.to_owned()));
        assert!(read(Some(b"-1"), None).is_err());
    }
}
