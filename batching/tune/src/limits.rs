//! What a latency target is given, and what it says.

use std::time::{Duration, Instant};

use salver_core_status::Status;

/// The settings of a [`LatencyTarget`](crate::LatencyTarget).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyTargetOptions {
    /// What 99 of 100 requests should take at most, from being scheduled to being done.
    pub target: Duration,
    /// The largest batch that may be tried.
    pub max_batch_size: usize,
    /// The only sizes there are, ascending; empty for all.
    pub allowed_batch_sizes: Vec<usize>,
}

impl LatencyTargetOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option, what it is and what was wanted.
    pub fn check(&self) -> Result<(), Status> {
        let wrong = |what: String| Err(Status::invalid_argument(what));
        if self.target.is_zero() {
            return wrong("latency target is 0, more was wanted".to_owned());
        }
        if self.max_batch_size == 0 {
            return wrong("max_batch_size is 0, 1 or more was wanted".to_owned());
        }
        let mut last = 0;
        for &size in &self.allowed_batch_sizes {
            if size <= last || size > self.max_batch_size {
                return wrong(format!(
                    "allowed_batch_sizes has {size} after {last}, ascending sizes up to max_batch_size ({}) were wanted",
                    self.max_batch_size
                ));
            }
            last = size;
        }
        Ok(())
    }
}

/// What a queue should do for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A batch has so many rows at most, and leaves at once when so many wait. A task that alone has more is a batch by
    /// itself. Where a batch is held back, those who are expected: it need not be a size that is allowed.
    pub batch_size: usize,
    /// So long a batch is held back after a run has ended, for those whose answers have left with it.
    pub wait: Duration,
    /// When that run ended: what `wait` counts from, rather than from when a task was pushed. `None` where nothing is held
    /// back.
    pub since: Option<Instant>,
}

impl Limits {
    /// When a batch leaves that is not full and whose first task was pushed at `opened`, as soon as a thread is free:
    /// `opened` itself where nothing holds it back.
    pub fn due(&self, opened: Instant) -> Instant {
        let until = self.since.and_then(|since| since.checked_add(self.wait));
        until.map_or(opened, |until| until.max(opened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> LatencyTargetOptions {
        LatencyTargetOptions {
            target: Duration::from_millis(10),
            max_batch_size: 64,
            allowed_batch_sizes: vec![2, 8, 64],
        }
    }

    #[test]
    fn wrong_options_are_named() {
        let sizes =
            |sizes: &[usize]| LatencyTargetOptions { allowed_batch_sizes: sizes.to_vec(), ..options() };
        let cases = [
            (LatencyTargetOptions { target: Duration::ZERO, ..options() }, "latency target is 0"),
            (LatencyTargetOptions { max_batch_size: 0, ..options() }, "max_batch_size is 0"),
            (sizes(&[0, 8]), "allowed_batch_sizes has 0 after 0"),
            (sizes(&[8, 8]), "allowed_batch_sizes has 8 after 8"),
            (sizes(&[8, 65]), "allowed_batch_sizes has 65 after 8"),
        ];
        for (options, wanted) in cases {
            let error = options.check().unwrap_err();
            assert_eq!(error.code(), salver_core_status::Code::InvalidArgument);
            assert!(error.message().starts_with(wanted), "{error}");
        }
    }

    #[test]
    fn a_batch_is_held_back_from_the_end_of_a_run() {
        let since = Instant::now();
        let ms = |ms| since + Duration::from_millis(ms);
        let limits = Limits { batch_size: 8, wait: Duration::from_millis(2), since: Some(since) };
        assert_eq!(limits.due(ms(1)), ms(2));
        assert_eq!(limits.due(ms(7)), ms(7));
        assert_eq!(Limits { since: None, ..limits }.due(ms(1)), ms(1));
    }
}
