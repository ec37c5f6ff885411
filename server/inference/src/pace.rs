//! How long a version's runs take, as far as it decides where the next one runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A slowly forgetting maximum of run times: rises at once, and halves in about 700 runs.
///
/// A maximum and not a mean, since it answers "could the next run hold up a thread that others wait for".
#[derive(Debug)]
pub(crate) struct Pace(AtomicU64);

/// Each shorter run takes one part in this many away.
const MEMORY: u64 = 1024;

impl Pace {
    /// Nothing is known: the slowest pace there is.
    pub(crate) fn unknown() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// Takes in one run's time.
    pub(crate) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX - 1);
        let before = self.0.load(Ordering::Relaxed);
        let after = if before == u64::MAX { took } else { took.max(before - before / MEMORY) };
        // A lost update of a concurrent run is a run not taken in: harmless. An equal value is not written, so that
        // the line stays shared between cores.
        if after != before {
            self.0.store(after, Ordering::Relaxed);
        }
    }

    /// Whether the next run is expected to take no longer than `limit`.
    pub(crate) fn is_within(&self, limit: Duration) -> bool {
        u128::from(self.0.load(Ordering::Relaxed)) <= limit.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(200);

    #[test]
    fn an_unknown_pace_is_not_trusted() {
        assert!(!Pace::unknown().is_within(LIMIT));
    }

    #[test]
    fn one_slow_run_is_remembered_for_a_while_and_then_forgiven() {
        let pace = Pace::unknown();
        pace.note(Duration::from_micros(10));
        assert!(pace.is_within(LIMIT));
        pace.note(Duration::from_millis(1));
        pace.note(Duration::from_micros(10));
        assert!(!pace.is_within(LIMIT));
        for _ in 0..2000 {
            pace.note(Duration::from_micros(10));
        }
        assert!(pace.is_within(LIMIT));
    }
}
