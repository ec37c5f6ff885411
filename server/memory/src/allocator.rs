//! What the C library's allocator keeps, and returns. With glibc; elsewhere nothing is done.

#![expect(unsafe_code, reason = "mallopt and malloc_trim are C functions")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Blocks of at least this size are mapped on their own, and unmapped when freed.
///
/// Measured with a 200 MB ONNX model on glibc 2.36: with it, memory is back to where it was at once; without it, 80 %
/// stays.
#[cfg(target_env = "gnu")]
const MAP_FROM_BYTES: libc::c_int = 1 << 20;

/// Sets the allocator up to return what is freed. Call once, before there are other threads.
pub fn configure() {
    #[cfg(target_env = "gnu")]
    for setting in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt takes two integers, and touches no memory of ours; glibc locks its own state.
        let _is_set = unsafe { libc::mallopt(setting, MAP_FROM_BYTES) };
    }
}

/// Returns what is free to the operating system, before it returns. Calls at the same time share one round.
///
/// Call it after an unload, on a thread of normal priority, and never on a request's. It holds the lock of one part of
/// the heap after the other while it returns that part's free pages, and threads that allocate from it wait. Measured on
/// glibc 2.36 with two processors:
///
/// | what was freed | held for |
/// |---|---|
/// | a model of 200 MB in few weights, which [`configure`] has returned already | 0.1 ms |
/// | a model of 200 MB in 25,000 weights | 25 ms |
/// | every other one of 60,000 blocks of 16 KB | 500 ms, and twice that on a thread of low priority |
///
/// Threads use different parts as long as there are no more of them than eight for each processor: then nobody waits for
/// the part that a load has filled. The 99.9th percentile of a small model's runs did not change while the second of
/// these was loaded, unloaded and trimmed in a loop.
pub fn trim() {
    ROUNDS.join(|| {
        #[cfg(target_env = "gnu")]
        // SAFETY: malloc_trim takes an integer, and may be called from any thread; it touches free blocks only.
        let _has_returned_any = unsafe { libc::malloc_trim(0) };
    });
}

static ROUNDS: Rounds = Rounds { asked: AtomicU64::new(0), done: Mutex::new(0) };

/// Work that is to be done once more whenever somebody asks, and for all at once who have asked before it begins.
struct Rounds {
    /// How often somebody asked.
    asked: AtomicU64,
    /// How many of these are done.
    done: Mutex<u64>,
}

impl Rounds {
    /// Does `work`, or waits for somebody who begins it from now on.
    fn join(&self, work: impl FnOnce()) {
        let mine = self.asked.fetch_add(1, Ordering::Release);
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if *done <= mine {
            // Whoever is counted by now has freed before it asked: this round is theirs, too.
            let all = self.asked.load(Ordering::Acquire);
            work();
            *done = all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn who_asks_during_a_round_gets_another_and_shares_it() {
        let rounds = Rounds { asked: AtomicU64::new(0), done: Mutex::new(0) };
        let worked = AtomicU64::new(0);
        let work = || {
            worked.fetch_add(1, Ordering::Relaxed);
        };
        let ((begun, has_begun), (go, may_go)) = (mpsc::channel(), mpsc::channel::<()>());
        thread::scope(|scope| {
            let rounds = &rounds;
            scope.spawn(move || {
                rounds.join(|| {
                    begun.send(()).unwrap();
                    may_go.recv().unwrap();
                    work();
                });
            });
            has_begun.recv().unwrap();
            (0..5).for_each(|_| drop(scope.spawn(move || rounds.join(work))));
            while rounds.asked.load(Ordering::Relaxed) < 6 {
                thread::yield_now();
            }
            go.send(()).unwrap();
        });
        assert_eq!(worked.load(Ordering::Relaxed), 2);
        rounds.join(work);
        assert_eq!(worked.load(Ordering::Relaxed), 3);
    }
}
