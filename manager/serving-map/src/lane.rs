//! A small number for each thread, which spreads the counting of handles.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many places a version's handles are counted in unless told otherwise: one per thread that runs at once,
/// rounded up to a power of two, 32 at most (each place costs two cache lines per version).
pub(crate) fn default_shards() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    threads.next_power_of_two().min(32)
}

/// The number of the calling thread: threads are numbered in the order in which they first ask.
pub(crate) fn current() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    LANE.with(|lane| *lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_another_thread_has_another() {
        let mine = current();
        assert_eq!(current(), mine);
        assert_ne!(std::thread::spawn(current).join().unwrap(), mine);
    }
}
