//! What a loader is given for one attempt to load.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use salver_core_cancel::Cancellation;
use salver_core_servable::{LoadProgress, Phase, ServableId};

/// What a loader is given for one attempt to load, and where it tells how far it is.
pub struct LoadContext<'a> {
    /// Which version is loaded.
    pub id: &'a ServableId,
    /// Set when the load is no longer wanted.
    pub cancel: Cancellation<'a>,
    tell: &'a (dyn Fn(LoadProgress) + Sync),
    tally: Mutex<Tally>,
}

/// What was told so far.
struct Tally {
    progress: LoadProgress,
    phase_began: Instant,
    told_at: Instant,
    told_bytes: u64,
}

/// Counts of bytes are told no more often than this, but for every hundredth.
const BETWEEN_COUNTS: Duration = Duration::from_millis(250);

impl<'a> LoadContext<'a> {
    /// An attempt that nobody watches.
    pub fn new(id: &'a ServableId, cancel: Cancellation<'a>) -> Self {
        Self::watched(id, cancel, &|_| {})
    }

    /// An attempt whose progress is told. It begins in [`Phase::Load`]; a loader that fetches says so.
    pub fn watched(
        id: &'a ServableId,
        cancel: Cancellation<'a>,
        tell: &'a (dyn Fn(LoadProgress) + Sync),
    ) -> Self {
        let now = Instant::now();
        let progress = LoadProgress { phase: Some(Phase::Load), ..LoadProgress::default() };
        let tally = Tally { progress, phase_began: now, told_at: now, told_bytes: 0 };
        Self { id, cancel, tell, tally: Mutex::new(tally) }
    }

    /// Says that a phase begins, and the one before is over. What was shorter than a microsecond was not there.
    pub fn enter(&self, phase: Phase) {
        self.pass_to(Some(phase));
    }

    /// Says how much of the present phase is done. May be called for every byte: not every call is passed on.
    pub fn progress(&self, done_bytes: u64, total_bytes: Option<u64>) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.progress.done_bytes = done_bytes;
        tally.progress.total_bytes = total_bytes;
        let now = Instant::now();
        // A hundredth is told at once, so that a load that then stalls does not seem to have done nothing.
        let step = total_bytes.map_or(u64::MAX, |total| (total / 100).max(1));
        let is_end = total_bytes == Some(done_bytes) && done_bytes != tally.told_bytes;
        let is_far = is_end || done_bytes.saturating_sub(tally.told_bytes) >= step;
        if is_far || now.duration_since(tally.told_at) >= BETWEEN_COUNTS {
            (tally.told_at, tally.told_bytes) = (now, done_bytes);
            (self.tell)(tally.progress);
        }
    }

    /// Says that the attempt is over. For the manager.
    pub fn finish(&self) {
        self.pass_to(None);
    }

    fn pass_to(&self, phase: Option<Phase>) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let took = now.duration_since(tally.phase_began);
        if let Some(before) = tally.progress.phase
            && took >= Duration::from_micros(1)
        {
            let time = tally.progress.timings.of(before);
            *time = Some(time.unwrap_or_default() + took);
        }
        let timings = tally.progress.timings;
        tally.progress = LoadProgress { phase, done_bytes: 0, total_bytes: None, timings };
        (tally.phase_began, tally.told_at, tally.told_bytes) = (now, now, 0);
        (self.tell)(tally.progress);
    }
}

impl fmt::Debug for LoadContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadContext").field("id", self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_servable::Version;

    fn told(attempt: impl FnOnce(&LoadContext<'_>)) -> Vec<LoadProgress> {
        let told = Mutex::new(Vec::new());
        let tell = |progress| told.lock().unwrap().push(progress);
        let id = ServableId::new("m", Version::new(1).unwrap());
        attempt(&LoadContext::watched(&id, Cancellation::NEVER, &tell));
        told.into_inner().unwrap()
    }

    #[test]
    fn the_end_of_a_phase_tells_how_long_it_took_and_the_end_of_all_that_nothing_is_under_way() {
        let told = told(|context| {
            context.enter(Phase::Fetch);
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(2) {
                std::hint::spin_loop();
            }
            context.enter(Phase::WarmUp);
            context.finish();
        });
        let phases: Vec<_> = told.iter().map(|progress| progress.phase).collect();
        assert_eq!(phases, [Some(Phase::Fetch), Some(Phase::WarmUp), None]);
        assert_eq!(told[0].timings.fetch, None);
        assert!(told[2].timings.fetch >= Some(Duration::from_micros(2)));
    }

    #[test]
    fn counts_that_follow_each_other_closely_are_not_all_passed_on_but_the_last_is() {
        let told = told(|context| (0..=10_000).for_each(|done| context.progress(done, Some(10_000))));
        assert!((100..10_000).contains(&told.len()), "{}", told.len());
        assert_eq!(told.last().map(|progress| progress.done_bytes), Some(10_000));
    }
}
