//! How long a version's runs take, as far as it decides where the next one runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A forgetting maximum of run times: one longer run at most doubles it, and shorter ones halve it in about 45 runs.
///
/// A maximum and not a mean, since it answers "could the next run hold up a thread that others wait for". It only
/// doubles because the clock also counts the time in which another thread had the processor: on a busy machine one
/// run in a hundred or so takes milliseconds, whatever the model, and says nothing about the next one. A model that
/// has become slow is noticed within a few runs.
#[derive(Debug)]
pub(crate) struct Pace(AtomicU64);

/// Each shorter run takes one part in this many away.
const MEMORY: u64 = 64;

/// What the shortest runs count as, in nanoseconds, so that doubling leads somewhere.
const SHORTEST: u64 = 1000;

impl Pace {
    /// Nothing is known: the slowest pace there is.
    pub(crate) fn unknown() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// Takes in one run's time.
    pub(crate) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX - 1).max(SHORTEST);
        let before = self.0.load(Ordering::Relaxed);
        let after = if before == u64::MAX {
            took
        } else {
            took.clamp(before - before / MEMORY, before.saturating_mul(2).min(u64::MAX - 1))
        };
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
    fn a_run_that_was_interrupted_now_and_then_changes_nothing() {
        let pace = Pace::unknown();
        for run in 0..10_000 {
            let took = if run % 100 == 99 { Duration::from_millis(4) } else { Duration::from_micros(10) };
            pace.note(took);
            assert!(pace.is_within(LIMIT), "after run {run}");
        }
    }

    #[test]
    fn a_model_that_has_become_slow_is_noticed_within_a_few_runs_and_forgiven_when_it_is_fast_again() {
        let pace = Pace::unknown();
        pace.note(Duration::from_micros(10));
        let slow_runs = (1..).find(|_| {
            pace.note(Duration::from_millis(1));
            !pace.is_within(LIMIT)
        });
        assert_eq!(slow_runs, Some(5));
        for _ in 0..300 {
            pace.note(Duration::from_micros(10));
        }
        assert!(pace.is_within(LIMIT));
    }

    #[test]
    fn a_model_whose_every_tenth_run_is_slow_counts_as_slow() {
        let pace = Pace::unknown();
        for run in 0..200 {
            pace.note(if run % 10 == 0 { Duration::from_millis(1) } else { Duration::from_micros(10) });
        }
        assert!(!pace.is_within(LIMIT));
    }
}
