//! Who of the pool's threads sleeps, and until when.

use std::time::Instant;

/// The threads that have nothing to do. At most one of them, the keeper, sleeps until a time; the others sleep until
/// they are called. At most one that was called is on its way: once it is here it sees to it that the next is called, so
/// that a burst wakes no more threads than it needs, and whoever scheduled a task never more than one.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    /// The last to go to sleep is the first to be called: its caches are the warmest.
    followers: Vec<usize>,
    keeper: Option<(usize, Instant)>,
    coming: Option<usize>,
}

impl Crew {
    /// A thread is awake, by call, by time, or by chance.
    pub(crate) fn up(&mut self, worker: usize) {
        self.coming = self.coming.filter(|coming| *coming != worker);
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

    /// Whom to wake where something is ready; `due` is when the next thing will be.
    pub(crate) fn call(&mut self, due: Option<Instant>) -> Option<usize> {
        if self.coming.is_some() {
            return None;
        }
        // A keeper with nothing left to wait for would wake in vain later; one with something keeps its post.
        let is_vain = self.keeper.is_some_and(|(_, until)| due.is_none_or(|due| until < due));
        self.coming = if is_vain { self.relieve() } else { self.followers.pop().or_else(|| self.relieve()) };
        self.coming
    }

    /// Whom to wake so that somebody keeps the time `due`.
    pub(crate) fn call_keeper(&mut self, due: Instant) -> Option<usize> {
        if self.coming.is_some() || self.keeper.is_some_and(|(_, until)| until <= due) {
            return None;
        }
        self.coming = self.relieve().or_else(|| self.followers.pop());
        self.coming
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
