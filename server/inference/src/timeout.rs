//! The Open Inference Protocol's parameter `timeout`.

use std::time::{Duration, Instant};

use salver_core_platform::Options;
use salver_core_status::Status;

/// The deadline of a request that arrived at `start` with these parameters: `deadline`, or what its parameter
/// `timeout`, in microseconds, makes of it where that is earlier. Zero asks for none.
///
/// # Errors
/// INVALID_ARGUMENT where the parameter is not a whole number, 0 or more.
pub fn with_timeout(
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
    use salver_core_platform::OptionValue;

    #[test]
    fn the_earlier_deadline_counts() {
        let start = Instant::now();
        let after = |micros| Some(start + Duration::from_micros(micros));
        let deadline = |micros| {
            let mut parameters = Options::new();
            parameters.set("timeout", OptionValue::Int(micros));
            with_timeout(after(9), &parameters, start)
        };
        assert_eq!(deadline(0), Ok(after(9)));
        assert_eq!(deadline(5), Ok(after(5)));
        assert_eq!(deadline(50), Ok(after(9)));
        assert!(deadline(-1).is_err());
        assert_eq!(with_timeout(None, &Options::new(), start), Ok(None));
    }
}
