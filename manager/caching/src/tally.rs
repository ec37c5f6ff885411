//! A count that many threads add to without fighting over it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

/// Adds up over several places; each thread adds at one of them.
#[derive(Debug)]
pub(crate) struct Tally(Box<[CachePadded<AtomicU64>]>);

impl Tally {
    /// As many places as threads run at once.
    pub(crate) fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self((0..threads.next_power_of_two()).map(|_| CachePadded::default()).collect())
    }

    /// Counts one. Wait-free.
    pub(crate) fn add(&self) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        let place = THREAD.with(|thread| thread % self.0.len().max(1));
        if let Some(count) = self.0.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_thread_adds_is_in_the_sum() {
        let tally = Tally::new();
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| (0..100).for_each(|_| tally.add()));
            }
        });
        assert_eq!(tally.sum(), 500);
    }
}
