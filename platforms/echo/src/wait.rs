//! Waiting that can be called off.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use salver_core_platform::{Cancellation, RunContext};
use salver_core_status::Status;

/// How often a waiter looks at the cancel flag and for its file, which have no way to wake it.
const LOOK: Duration = Duration::from_millis(1);

/// What a load or a run waits for.
#[derive(Debug)]
pub(crate) struct Wait {
    /// Until this is there, and then
    pub(crate) file: Option<PathBuf>,
    /// for so long.
    pub(crate) delay: Duration,
}

impl Wait {
    /// Waits, or until the load is no longer wanted.
    ///
    /// # Errors
    /// CANCELLED.
    pub(crate) fn for_load(&self, cancel: Cancellation<'_>) -> Result<(), Status> {
        self.for_run(&RunContext { cancel, ..RunContext::default() })
    }

    /// Waits, or until the request is no longer wanted.
    ///
    /// # Errors
    /// CANCELLED or DEADLINE_EXCEEDED.
    pub(crate) fn for_run(&self, context: &RunContext<'_>) -> Result<(), Status> {
        let mut now = Instant::now();
        context.check(now)?;
        if let Some(file) = &self.file {
            while !file.exists() {
                now = look_again(now, None, context)?;
            }
        }
        // A delay past the end of time is one that only a cancellation ends.
        let end = now.checked_add(self.delay);
        while end.is_none_or(|end| now < end) {
            now = look_again(now, end, context)?;
        }
        Ok(())
    }
}

/// Waits for a moment, at most until `end`; returns the time.
fn look_again(now: Instant, end: Option<Instant>, context: &RunContext<'_>) -> Result<Instant, Status> {
    let left = [end, context.deadline].into_iter().flatten().map(|at| at.saturating_duration_since(now));
    std::thread::park_timeout(left.min().unwrap_or(LOOK).min(LOOK));
    let now = Instant::now();
    context.check(now)?;
    Ok(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_platform::CancelFlag;
    use salver_core_status::Code;

    const LONG: Duration = Duration::from_secs(3600);

    fn delay(delay: Duration) -> Wait {
        Wait { file: None, delay }
    }

    #[test]
    fn a_delay_ends_by_itself() {
        let start = Instant::now();
        delay(Duration::from_millis(3)).for_run(&RunContext::default()).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(3));
    }

    #[test]
    fn a_file_that_appears_ends_a_wait_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("go");
        let wait = Wait { file: Some(file.clone()), delay: Duration::ZERO };
        let deadline = Instant::now() + Duration::from_millis(2);
        let context = RunContext { deadline: Some(deadline), ..RunContext::default() };
        assert_eq!(wait.for_run(&context).unwrap_err().code(), Code::DeadlineExceeded);
        let waiter = std::thread::spawn(move || wait.for_run(&RunContext::default()));
        std::fs::write(file, "").unwrap();
        waiter.join().unwrap().unwrap();
    }

    #[test]
    fn a_deadline_ends_a_delay() {
        let deadline = Instant::now() + Duration::from_millis(2);
        let context = RunContext { deadline: Some(deadline), ..RunContext::default() };
        assert_eq!(delay(LONG).for_run(&context).unwrap_err().code(), Code::DeadlineExceeded);
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn a_cancellation_ends_a_delay_even_one_without_end() {
        for long in [LONG, Duration::MAX] {
            let flag = CancelFlag::new();
            let watched = flag.clone();
            let waiter = std::thread::spawn(move || delay(long).for_load(watched.watch()));
            flag.cancel();
            assert_eq!(waiter.join().unwrap().unwrap_err().code(), Code::Cancelled);
        }
    }
}
