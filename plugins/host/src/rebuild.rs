//! When a model whose code failed is loaded anew.

use std::time::{Duration, Instant};

/// The wait before the second of two loads, the first time.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two loads.
const LONGEST: Duration = Duration::from_secs(30);
/// A model that was left alone for so long is taken for sound again.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Spaces out the loads of one model: the first is at once, then each wait is twice the last.
#[derive(Debug, Default)]
pub struct Backoff {
    last: Option<(Instant, Duration)>,
}

impl Backoff {
    /// When to load, if that is needed at `now`.
    pub fn next(&mut self, now: Instant) -> Instant {
        let (at, wait) = match self.last {
            Some((last, wait)) if now.saturating_duration_since(last) < FORGOTTEN => {
                ((last + wait).max(now), (2 * wait).min(LONGEST))
            }
            _ => (now, FIRST),
        };
        self.last = Some((at, wait));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_forgotten_after_a_quiet_minute() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let next = backoff.next(now);
            waits.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        let later = now + FORGOTTEN;
        assert_eq!(backoff.next(later), later);
    }

    #[test]
    fn a_load_that_is_needed_after_the_wait_is_at_once() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        backoff.next(start);
        let late = start + Duration::from_secs(5);
        assert_eq!(backoff.next(late), late);
    }
}
