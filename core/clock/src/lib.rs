//! Where time comes from, so that tests can hold it still.
//!
//! Code that decides by time takes an [`Instant`] as an argument; code that must ask takes a [`Clock`]. Waiting is
//! not here: a driver waits on an event with a time-out that it computed from a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tells the time. Thread-safe, never blocks, never goes back.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Instant;
}

/// The operating system's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is told to advance. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Instant,
    elapsed_ns: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that stands at the moment of this call.
    pub fn new() -> Self {
        Self { start: Instant::now(), elapsed_ns: Arc::new(AtomicU64::new(0)) }
    }

    /// Moves the clock forward; a step past what 64 bits of nanoseconds hold stops at the end.
    pub fn advance(&self, by: Duration) {
        let step = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let _ = self
            .elapsed_ns
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(step)));
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.elapsed_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_move_with_it() {
        let clock = ManualClock::new();
        let clone = clock.clone();
        let before = clone.now();
        assert_eq!(clone.now(), before);
        clock.advance(Duration::from_secs(3));
        assert_eq!(clone.now() - before, Duration::from_secs(3));
    }
}
