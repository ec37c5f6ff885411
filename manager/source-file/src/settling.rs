//! Whether the files of a version have come to rest, as a pure state machine.
//!
//! Nobody can know that a copy is complete; one can know that nothing has changed for a while. A version of which
//! that is true is *taken*, and stays so. Whose copy pauses for longer is taken too early, may fail to load, and is
//! tried again when it changes. A [marker](crate::ModelPolicy::marker) leaves no doubt.

use std::time::{Duration, Instant};

/// What one look at a version found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Changes when the files do.
    pub(crate) fingerprint: u64,
    /// For how long nothing in it has been touched, as far as its times say: by another's clock, perhaps.
    pub(crate) age: Duration,
    /// When the look began.
    pub(crate) began: Instant,
    /// When it was over.
    pub(crate) ended: Instant,
}

/// What is known of one version's files.
#[derive(Debug)]
pub(crate) struct Settling {
    /// Whether the first look may go by the age: the version was there before anybody watched.
    trusts_age: bool,
    /// The fingerprint seen last, and the end of the look that saw it first.
    seen: Option<(u64, Instant)>,
    /// The fingerprint seen last at rest.
    revision: Option<u64>,
}

impl Settling {
    /// Knows nothing yet.
    pub(crate) fn new(trusts_age: bool) -> Self {
        Self { trusts_age, seen: None, revision: None }
    }

    /// Takes in a look. A version is at rest that two looks found the same, `settle` apart at least.
    pub(crate) fn observe(&mut self, sight: Sight, settle: Duration) {
        let since = match self.seen {
            Some((fingerprint, since)) if fingerprint == sight.fingerprint => since,
            _ => sight.ended,
        };
        let is_old = self.trusts_age && self.seen.is_none() && sight.age >= settle;
        let is_still = sight.began.saturating_duration_since(since) >= settle;
        if is_old || is_still {
            self.revision = Some(sight.fingerprint);
        }
        self.seen = Some((sight.fingerprint, since));
    }

    /// What was seen when it was last at rest, if it ever was; it may then be asked for.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// Whether nobody has looked yet at what was there before anybody watched: it probably is complete.
    pub(crate) fn is_presumed(&self) -> bool {
        self.trusts_age && self.seen.is_none()
    }

    /// From when on another look may find at rest what is not so yet.
    pub(crate) fn due(&self, settle: Duration) -> Option<Instant> {
        let (fingerprint, since) = self.seen?;
        if self.revision == Some(fingerprint) { None } else { since.checked_add(settle) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTLE: Duration = Duration::from_millis(1000);

    /// A look that takes no time.
    fn sight(fingerprint: u64, at: Instant) -> Sight {
        Sight { fingerprint, age: Duration::ZERO, began: at, ended: at }
    }

    #[test]
    fn a_version_is_taken_once_it_has_been_the_same_for_long_enough() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut settling = Settling::new(false);
        settling.observe(sight(1, at(0)), SETTLE);
        assert_eq!((settling.revision(), settling.due(SETTLE)), (None, Some(at(1000))));
        settling.observe(sight(1, at(999)), SETTLE);
        assert_eq!(settling.revision(), None, "not long enough");
        settling.observe(sight(2, at(1000)), SETTLE);
        assert_eq!((settling.revision(), settling.due(SETTLE)), (None, Some(at(2000))), "it changed");
        settling.observe(sight(2, at(2000)), SETTLE);
        assert_eq!((settling.revision(), settling.due(SETTLE)), (Some(2), None));
    }

    #[test]
    fn a_slow_look_counts_from_its_end_to_the_beginning_of_the_next() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut settling = Settling::new(false);
        settling.observe(Sight { ended: at(700), ..sight(1, at(0)) }, SETTLE);
        settling.observe(Sight { ended: at(2000), ..sight(1, at(1600)) }, SETTLE);
        assert_eq!(settling.revision(), None);
        settling.observe(sight(1, at(1700)), SETTLE);
        assert_eq!(settling.revision(), Some(1));
    }

    #[test]
    fn only_what_was_there_before_anybody_watched_is_taken_for_its_age() {
        let old = Sight { age: SETTLE, ..sight(1, Instant::now()) };
        for (trusts_age, age, taken) in
            [(true, SETTLE, Some(1)), (true, SETTLE / 2, None), (false, SETTLE, None)]
        {
            let mut settling = Settling::new(trusts_age);
            settling.observe(Sight { age, ..old }, SETTLE);
            assert_eq!(settling.revision(), taken, "{trusts_age} {age:?}");
        }
        let mut settling = Settling::new(true);
        settling.observe(Sight { age: Duration::ZERO, ..old }, SETTLE);
        settling.observe(Sight { fingerprint: 2, ..old }, SETTLE);
        assert_eq!(settling.revision(), None, "times that jump back are no proof");
    }

    proptest! {
        /// Whatever the looks find, and whenever they come.
        #[test]
        fn a_version_is_taken_as_it_is_exactly_when_it_has_not_changed_for_the_time(
            looks in prop::collection::vec((0..3_u64, 0..600_u64, 0..100_u64), 1..40),
        ) {
            let mut settling = Settling::new(false);
            let mut now = Instant::now();
            // The unbroken run of looks that found the same: the end of its first.
            let mut run: Option<(u64, Instant)> = None;
            let mut taken = None;
            for (fingerprint, wait, took) in looks {
                let began = now + Duration::from_millis(wait);
                now = began + Duration::from_millis(took);
                settling.observe(Sight { fingerprint, age: Duration::MAX, began, ended: now }, SETTLE);
                let since = run.filter(|(seen, _)| *seen == fingerprint).map_or(now, |(_, since)| since);
                run = Some((fingerprint, since));
                if began.saturating_duration_since(since) >= SETTLE {
                    taken = Some(fingerprint);
                }
                prop_assert_eq!(settling.revision(), taken);
                // Another look is due exactly while what was seen last is not what is taken, and then suffices.
                match settling.due(SETTLE) {
                    None => prop_assert_eq!(taken, Some(fingerprint)),
                    Some(due) => {
                        prop_assert_ne!(taken, Some(fingerprint));
                        prop_assert_eq!(due, since + SETTLE);
                    }
                }
            }
        }
    }
}
