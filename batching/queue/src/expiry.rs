//! When tasks will have waited too long.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Which task, and where it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) expires: Instant,
    pub(crate) number: u64,
    pub(crate) group: usize,
    pub(crate) class: usize,
}

/// Timers of tasks that can wait too long. Those of tasks that have left are let go later, when they come to the front or
/// are more than half: a task costs the same whether many time out or none.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    timers: BinaryHeap<Reverse<Timer>>,
}

impl Expiry {
    /// Sets a timer. `waiting` tasks wait, and `is_live` says whether one of them is that of a timer.
    pub(crate) fn set(&mut self, timer: Timer, waiting: usize, is_live: impl Fn(&Timer) -> bool) {
        const FEW: usize = 64;
        if self.timers.len() > waiting.saturating_mul(2).saturating_add(FEW) {
            self.timers.retain(|Reverse(timer)| is_live(timer));
        }
        self.timers.push(Reverse(timer));
    }

    /// The first timer; of a task that waits, where [`trim`](Self::trim) was called after the last one left.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse(timer)| timer.expires)
    }

    /// Lets timers in front go whose tasks have left.
    pub(crate) fn trim(&mut self, is_live: impl Fn(&Timer) -> bool) {
        while self.timers.peek().is_some_and(|Reverse(timer)| !is_live(timer)) {
            self.timers.pop();
        }
    }

    /// Takes the first timer, if its time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        if self.first()? > now {
            return None;
        }
        self.timers.pop().map(|Reverse(timer)| timer)
    }

    /// How many timers there are, live or not.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }
}
