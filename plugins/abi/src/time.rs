//! Deadlines across the boundary: `Instant` is opaque, `CLOCK_MONOTONIC` is what it is made of.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// One moment on both clocks. They run alike, so one pair serves for good and no call reads a clock.
static ANCHOR: OnceLock<(Instant, u64)> = OnceLock::new();

fn anchor() -> (Instant, u64) {
    *ANCHOR.get_or_init(|| {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a valid place for a timespec. The clock exists on every Linux.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        let instant = Instant::now();
        let seconds = Duration::from_secs(now.tv_sec.unsigned_abs());
        (instant, as_ns(seconds).saturating_add(now.tv_nsec.unsigned_abs()))
    })
}

fn as_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `instant` in nanoseconds of `CLOCK_MONOTONIC`; never 0, which means "none" in a request.
pub fn monotonic_ns(instant: Instant) -> u64 {
    let (moment, ns) = anchor();
    let ns = match instant.checked_duration_since(moment) {
        Some(later) => ns.saturating_add(as_ns(later)),
        None => ns.saturating_sub(as_ns(moment.saturating_duration_since(instant))),
    };
    ns.max(1)
}

/// The instant at `ns` nanoseconds of `CLOCK_MONOTONIC`; `None` for 0 and for what is too far away to say.
#[inline]
pub fn instant_at(ns: u64) -> Option<Instant> {
    if ns == 0 {
        return None;
    }
    let (moment, anchor_ns) = anchor();
    match ns {
        ns if ns >= anchor_ns => moment.checked_add(Duration::from_nanos(ns - anchor_ns)),
        ns => moment.checked_sub(Duration::from_nanos(anchor_ns - ns)).or(Some(moment)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_the_journey_to_nanoseconds_and_back() {
        let now = Instant::now();
        for instant in [now, now + Duration::from_secs(3600), now - Duration::from_millis(5)] {
            assert_eq!(instant_at(monotonic_ns(instant)), Some(instant));
        }
        assert_eq!(instant_at(0), None);
    }
}
