//! When tasks will have waited too long.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
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
    /// Those that were set in the order in which they end: all, where all tasks wait equally long.
    in_order: VecDeque<Timer>,
    others: BinaryHeap<Reverse<Timer>>,
}

impl Expiry {
    /// Sets a timer. `waiting` tasks wait, and `is_live` says whether one of them is that of a timer.
    pub(crate) fn set(&mut self, timer: Timer, waiting: usize, is_live: impl Fn(&Timer) -> bool) {
        const FEW: usize = 64;
        if self.len() > waiting.saturating_mul(2).saturating_add(FEW) {
            self.in_order.retain(&is_live);
            self.others.retain(|Reverse(timer)| is_live(timer));
        }
        if self.in_order.back().is_none_or(|last| *last <= timer) {
            self.in_order.push_back(timer);
        } else {
            self.others.push(Reverse(timer));
        }
    }

    /// When the first timer ends; of a task that waits, where [`trim`](Self::trim) was called after the last one left.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.peek().map(|timer| timer.expires)
    }

    /// Lets timers in front go whose tasks have left.
    pub(crate) fn trim(&mut self, is_live: impl Fn(&Timer) -> bool) {
        while self.peek().is_some_and(|timer| !is_live(timer)) {
            self.pop_first();
        }
    }

    /// Takes the first timer, if it has ended.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        if self.first()? > now {
            return None;
        }
        self.pop_first()
    }

    /// How many timers there are, of tasks that wait or not.
    pub(crate) fn len(&self) -> usize {
        self.in_order.len() + self.others.len()
    }

    fn peek(&self) -> Option<&Timer> {
        let other = self.others.peek().map(|Reverse(timer)| timer);
        self.in_order.front().into_iter().chain(other).min()
    }

    fn pop_first(&mut self) -> Option<Timer> {
        if self.peek() == self.in_order.front() {
            return self.in_order.pop_front();
        }
        self.others.pop().map(|Reverse(timer)| timer)
    }
}
