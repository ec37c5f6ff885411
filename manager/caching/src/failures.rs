//! What failed, and when it may be tried again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use salver_core_servable::{StreamName, Version};
use salver_core_status::Status;

/// How long what failed is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// After the first failure.
    pub first_wait: Duration,
    /// How many times longer after each further one.
    pub factor: u32,
    /// At most.
    pub longest_wait: Duration,
}

impl Default for BackOff {
    /// 1 second, then twice as long each time, at most a minute.
    fn default() -> Self {
        let (first_wait, longest_wait) = (Duration::from_secs(1), Duration::from_secs(60));
        Self { first_wait, factor: 2, longest_wait }
    }
}

/// What failed: a version, or the question which one is the latest.
pub(crate) type Key = (StreamName, Option<Version>);

/// Failures, remembered until they succeed; so many of them, for clients make names up.
#[derive(Debug)]
pub(crate) struct Failures {
    back_off: BackOff,
    limit: usize,
    failures: HashMap<Key, Failure>,
}

#[derive(Debug)]
struct Failure {
    status: Status,
    wait: Duration,
    until: Instant,
}

impl Failures {
    pub(crate) fn new(back_off: BackOff, limit: usize) -> Self {
        Self { back_off, limit: limit.max(1), failures: HashMap::new() }
    }

    /// Why it is not to be tried yet; `None` if it may be.
    pub(crate) fn refuse(&self, key: &Key, now: Instant) -> Option<Status> {
        let failure = self.failures.get(key)?;
        let left = failure.until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        let (code, message) = (failure.status.code(), failure.status.message());
        let seconds = left.as_secs_f64();
        Some(Status::new(
            code,
            format!("{message} (failed before; tried again in {seconds:.1} s at the earliest)"),
        ))
    }

    /// Notes a failure: the wait begins.
    pub(crate) fn note(&mut self, key: Key, status: Status, now: Instant) {
        let BackOff { first_wait, factor, longest_wait } = self.back_off;
        let longer = self.failures.get(&key).map(|failure| failure.wait.saturating_mul(factor.max(1)));
        let wait = longer.unwrap_or(first_wait).min(longest_wait);
        let until = now.checked_add(wait).unwrap_or(now);
        self.failures.insert(key, Failure { status, wait, until });
        if self.failures.len() > self.limit {
            let first = self.failures.iter().min_by_key(|(_, failure)| failure.until);
            if let Some(first) = first.map(|(key, _)| key.clone()) {
                self.failures.remove(&first);
            }
        }
    }

    /// Forgets that it ever failed.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    /// Forgets that anything of a stream ever failed.
    pub(crate) fn forget_stream(&mut self, name: &StreamName) {
        self.failures.retain(|(of, _), _| of != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (name.into(), None)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn each_failure_waits_twice_as_long_as_the_one_before_and_a_minute_at_most() {
        let mut failures = Failures::new(BackOff::default(), 9);
        let mut now = Instant::now();
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            failures.note(key("m"), Status::not_found("gone"), now);
            let status = failures.refuse(&key("m"), now).unwrap();
            let text = format!("gone (failed before; tried again in {wait}.0 s at the earliest)");
            assert_eq!(status, Status::not_found(text));
            now += secs(wait);
            assert_eq!(failures.refuse(&key("m"), now), None);
        }
        failures.forget(&key("m"));
        failures.note(key("m"), Status::not_found("gone"), now);
        assert_eq!(failures.refuse(&key("m"), now + secs(1)), None, "begins anew after a success");
    }

    #[test]
    fn only_so_many_are_remembered_and_those_that_end_first_are_forgotten() {
        let mut failures = Failures::new(BackOff::default(), 2);
        let now = Instant::now();
        for (later, name) in ["a", "b", "c"].into_iter().enumerate() {
            failures.note(key(name), Status::not_found("gone"), now + Duration::from_millis(later as u64));
        }
        let is_refused = ["a", "b", "c"].map(|name| failures.refuse(&key(name), now).is_some());
        assert_eq!(is_refused, [false, true, true]);
    }
}
