//! Who of the pool's threads sleeps, and until when.

use std::time::Instant;

/// The threads that have nothing to do. At most one of them, the keeper, sleeps until a time; the others sleep until
/// they are called. One change calls one thread at most, and none where enough are on their way already, one for each
/// queue with a batch that may leave. Whoever comes calls the next where more is left than it takes.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    /// The last to go to sleep is the first to be called: its caches are the warmest.
    followers: Vec<usize>,
    keeper: Option<(usize, Instant)>,
    coming: Vec<usize>,
}

impl Crew {
    /// A thread is awake, by call, by time, or by chance.
    pub(crate) fn up(&mut self, worker: usize) {
        self.coming.retain(|coming| *coming != worker);
        self.keeper = self.keeper.filter(|(keeper, _)| *keeper != worker);
        self.followers.retain(|follower| *follower != worker);
    }

    /// A thread goes to sleep while something is due at `due`. Returns until when it sleeps; `None` for until it is
    /// called.
    pub(crate) fn rest(&mut self, worker: usize, due: Option<Instant>) -> Option<Instant> {
        match (due, self.keeper) {
            (Some(due), Some((_, until))) if until <= due => {}
            (Some(due), former) => {
                // A former keeper wakes in vain, once.
                self.followers.extend(former.map(|(worker, _)| worker));
                self.keeper = Some((worker, due));
                return Some(due);
            }
            (None, _) => {}
        }
        self.followers.push(worker);
        None
    }

    /// Whom to wake where there is something to do for `wanted` threads; `due` is when there will be for the next.
    pub(crate) fn call(&mut self, wanted: usize, due: Option<Instant>) -> Option<usize> {
        if self.coming.len() >= wanted {
            return None;
        }
        // A keeper with nothing left to wait for would wake in vain later; one with something keeps its post.
        let is_vain = self.keeper.is_some_and(|(_, until)| due.is_none_or(|due| until < due));
        let worker = if is_vain { self.relieve() } else { self.followers.pop().or_else(|| self.relieve()) };
        self.coming.extend(worker);
        worker
    }

    /// Whom to wake so that somebody keeps the time `due`. One that is on its way will do so, or find somebody.
    pub(crate) fn call_keeper(&mut self, due: Instant) -> Option<usize> {
        if !self.coming.is_empty() || self.keeper.is_some_and(|(_, until)| until <= due) {
            return None;
        }
        let worker = self.relieve().or_else(|| self.followers.pop());
        self.coming.extend(worker);
        worker
    }

    /// Everybody who sleeps.
    pub(crate) fn call_all(&mut self) -> Vec<usize> {
        let keeper = self.relieve();
        std::mem::take(&mut self.followers).into_iter().chain(keeper).collect()
    }

    fn relieve(&mut self) -> Option<usize> {
        self.keeper.take().map(|(worker, _)| worker)
    }
}
