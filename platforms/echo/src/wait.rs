//! Waiting that can be called off.

use std::time::{Duration, Instant};

use salver_core_platform::{Cancellation, RunContext};
use salver_core_status::Status;

/// How often a waiter looks at the cancel flag, which has no way to wake it.
const LOOK: Duration = Duration::from_millis(1);

/// Waits for `delay`, or until the load is no longer wanted.
///
/// # Errors
/// CANCELLED.
pub(crate) fn for_load(delay: Duration, cancel: Cancellation<'_>) -> Result<(), Status> {
    for_run(delay, &RunContext { cancel, ..RunContext::default() })
}

/// Waits for `delay`, or until the request is no longer wanted.
///
/// # Errors
/// CANCELLED or DEADLINE_EXCEEDED.
pub(crate) fn for_run(delay: Duration, context: &RunContext<'_>) -> Result<(), Status> {
    let mut now = Instant::now();
    context.check(now)?;
    // A delay past the end of time is one that only a cancellation ends.
    let end = now.checked_add(delay);
    while end.is_none_or(|end| now < end) {
        let left = [end, context.deadline].into_iter().flatten().map(|at| at.saturating_duration_since(now));
        std::thread::park_timeout(left.min().unwrap_or(LOOK).min(LOOK));
        now = Instant::now();
        context.check(now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_platform::CancelFlag;
    use salver_core_status::Code;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_delay_ends_by_itself() {
        let start = Instant::now();
        for_run(Duration::from_millis(3), &RunContext::default()).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(3));
    }

    #[test]
    fn a_deadline_ends_a_delay() {
        let deadline = Instant::now() + Duration::from_millis(2);
        let context = RunContext { deadline: Some(deadline), ..RunContext::default() };
        assert_eq!(for_run(LONG, &context).unwrap_err().code(), Code::DeadlineExceeded);
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn a_cancellation_ends_a_delay_even_one_without_end() {
        for delay in [LONG, Duration::MAX] {
            let flag = CancelFlag::new();
            let watched = flag.clone();
            let waiter = std::thread::spawn(move || for_load(delay, watched.watch()));
            flag.cancel();
            assert_eq!(waiter.join().unwrap().unwrap_err().code(), Code::Cancelled);
        }
    }
}
