//! A small number for each thread, which spreads the counting of handles.

use crate::sync::{AtomicUsize, Ordering, thread_local};

/// How many places a version's handles are counted in unless told otherwise: four for each thread that runs at once,
/// rounded up to a power of two, 32 at most (each costs two cache lines per version).
///
/// With one each, threads that outnumber the cores share a place half the time they run at once, and take half as long
/// again; four make that rare.
pub(crate) fn default_shards() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    threads.saturating_mul(4).min(32).next_power_of_two()
}

#[cfg(not(loom))]
static NEXT: AtomicUsize = AtomicUsize::new(0);

#[cfg(loom)]
loom::lazy_static! {
    static ref NEXT: AtomicUsize = AtomicUsize::new(0);
}

thread_local! {
    static LANE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
}

/// The number of the calling thread: threads are numbered in the order in which they first ask.
pub(crate) fn current() -> usize {
    LANE.with(|lane| *lane)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_another_thread_has_another() {
        let mine = current();
        assert_eq!(current(), mine);
        assert_ne!(std::thread::spawn(current).join().unwrap(), mine);
    }
}
