//! What is known of one loaded version: how it is used, and what it takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Written by requests without waiting, read by whoever decides what to evict.
///
/// Uses are counted once per millisecond, so that a version that is asked for a million times in a second is not also
/// written to a million times, by cores that would fight over the line. What counts is in how many milliseconds a
/// version was wanted.
#[derive(Debug)]
pub(crate) struct Meter {
    last: AtomicU64,
    uses: AtomicU64,
    /// When the factory was last asked whether this is still the latest version.
    checked: AtomicU64,
    bytes: AtomicU64,
}

/// A moment, in milliseconds since the manager began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

/// No size has been measured.
const UNKNOWN: u64 = u64::MAX;

impl Tick {
    pub(crate) fn of(now: Instant, began: Instant) -> Self {
        let millis = now.saturating_duration_since(began).as_millis();
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

impl Meter {
    pub(crate) fn new(now: Tick) -> Self {
        let (last, uses, checked) = (AtomicU64::new(now.0), AtomicU64::new(1), AtomicU64::new(now.0));
        Self { last, uses, checked, bytes: AtomicU64::new(UNKNOWN) }
    }

    /// Notes a use.
    pub(crate) fn touch(&self, now: Tick) {
        if self.last.load(Ordering::Relaxed) != now.0 {
            self.last.store(now.0, Ordering::Relaxed);
            self.uses.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// When it was used last.
    pub(crate) fn last(&self) -> Tick {
        Tick(self.last.load(Ordering::Relaxed))
    }

    /// In how many milliseconds it was used.
    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Says that this is the latest version.
    pub(crate) fn confirm(&self, now: Tick) {
        self.checked.store(now.0, Ordering::Relaxed);
    }

    /// Whether it is time to ask whether this is still the latest version: true for one caller per `period`.
    pub(crate) fn is_doubtful(&self, now: Tick, period: Duration) -> bool {
        let checked = self.checked.load(Ordering::Relaxed);
        let age = Duration::from_millis(now.0.saturating_sub(checked));
        age >= period
            && self.checked.compare_exchange(checked, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Notes what it turned out to take.
    pub(crate) fn measure(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// What it turned out to take, if that was measured.
    pub(crate) fn measured(&self) -> Option<u64> {
        Some(self.bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes != UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_in_one_millisecond_count_once() {
        let meter = Meter::new(Tick(5));
        for tick in [5, 5, 6, 6, 9] {
            meter.touch(Tick(tick));
        }
        assert_eq!((meter.uses(), meter.last()), (3, Tick(9)));
    }

    #[test]
    fn the_latest_version_is_doubted_by_one_caller_per_period() {
        let meter = Meter::new(Tick(0));
        let period = Duration::from_millis(10);
        assert!(!meter.is_doubtful(Tick(9), period));
        assert!(meter.is_doubtful(Tick(10), period));
        assert!(!meter.is_doubtful(Tick(10), period));
        meter.confirm(Tick(15));
        assert!(!meter.is_doubtful(Tick(24), period));
        assert!(meter.is_doubtful(Tick(25), period));
    }
}
