//! How a manager is to work.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use salver_core_clock::{Clock, SystemClock};
use salver_core_resource::Allocation;
use salver_core_servable::{ServableId, StateObserver};
use salver_core_status::{Code, Status};

/// Called on a thread of the manager at some moment. Must return; a panic is logged and of no consequence.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// A hook that is told which version it is about.
pub type LoadHook = Arc<dyn Fn(&ServableId) + Send + Sync>;

/// Which of two versions that wait for a load thread gets one first: the lesser. Must be a strict weak order, return at
/// once, and neither call the manager nor panic.
pub type LoadOrder = Arc<dyn Fn(&ServableId, &ServableId) -> Ordering + Send + Sync>;

/// How a manager is to work. [`Options::new`] fills in what is usual.
pub struct Options {
    /// How many versions are loaded at a time, at least one.
    pub num_load_threads: usize,
    /// How many versions are unloaded at a time, at least one.
    pub num_unload_threads: usize,
    /// In how many places the handles of a version are counted; `None`: as many as threads run at once.
    pub shards: Option<usize>,
    /// Told where every version stands.
    pub observer: Arc<dyn StateObserver>,
    /// What becomes of an attempt to load that failed.
    pub retry: Retry,
    /// What all versions together may take, bound to devices; `None`: no limit. What it does not name is not limited.
    pub total_resources: Option<Allocation>,
    /// Who gets a free load thread first; `None`: first come, first served.
    pub order: Option<LoadOrder>,
    /// By which waits are measured.
    pub clock: Arc<dyn Clock>,
    /// Called on each load thread when it starts: the place to lower its priority. Not on those of a
    /// [burst](crate::BasicManager::burst_load_threads).
    pub on_load_thread: Option<Hook>,
    /// Called just before each attempt to load, on the load thread.
    pub before_load: Option<LoadHook>,
    /// Called right after each attempt to load, on the load thread, before anybody is told how it went: the place to
    /// drop caches.
    pub after_load: Option<LoadHook>,
    /// Called after each unload, on the unload thread, before the version counts as over: the place to give memory back
    /// to the operating system.
    pub after_unload: Option<Hook>,
}

/// What becomes of an attempt to load that failed.
#[derive(Clone)]
pub struct Retry {
    /// How many attempts follow the first, at most.
    pub max_retries: u32,
    /// How long to wait before the second attempt.
    pub first_wait: Duration,
    /// How many times longer each wait is than the one before, at least 1.
    pub factor: u32,
    /// No wait is longer.
    pub longest_wait: Duration,
    /// Whether another attempt may help. Must return at once, and neither call the manager nor
    /// panic.
    pub should_retry: Arc<dyn Fn(&Status) -> bool + Send + Sync>,
}

impl Options {
    /// The usual: 4 load threads, 1 unload thread, a few retries of what may pass, no limit of resources.
    pub fn new(observer: Arc<dyn StateObserver>) -> Self {
        Self {
            num_load_threads: 4,
            num_unload_threads: 1,
            shards: None,
            observer,
            retry: Retry::default(),
            total_resources: None,
            order: None,
            clock: Arc::new(SystemClock),
            on_load_thread: None,
            before_load: None,
            after_load: None,
            after_unload: None,
        }
    }
}

impl Retry {
    /// No attempt but the first.
    pub fn never() -> Self {
        Self { max_retries: 0, ..Self::default() }
    }

    /// How long to wait before the next attempt, after so many retries.
    pub(crate) fn wait(&self, retries: u32) -> Duration {
        let times = self.factor.max(1).saturating_pow(retries);
        self.first_wait.saturating_mul(times).min(self.longest_wait)
    }
}

impl Default for Retry {
    /// 5 retries after 1, 2, 4, 8 and 16 seconds, of what is not the model's fault.
    ///
    /// UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED and UNKNOWN pass; a damaged file does not.
    fn default() -> Self {
        let passes = |status: &Status| {
            matches!(
                status.code(),
                Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Unknown
            )
        };
        Self {
            max_retries: 5,
            first_wait: Duration::from_secs(1),
            factor: 2,
            longest_wait: Duration::from_secs(60),
            should_retry: Arc::new(passes),
        }
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("max_retries", &self.max_retries)
            .field("first_wait", &self.first_wait)
            .field("factor", &self.factor)
            .field("longest_wait", &self.longest_wait)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_never_overflow() {
        let retry = Retry::default();
        let seconds: Vec<_> = (0..8).map(|retries| retry.wait(retries).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry.wait(u32::MAX), retry.longest_wait);
        let steady = Retry { factor: 0, ..retry };
        assert_eq!(steady.wait(9), steady.first_wait);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let retry = Retry::default();
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Aborted, Code::Unknown] {
            assert!((retry.should_retry)(&Status::new(code, "")), "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::DataLoss, Code::Internal, Code::ResourceExhausted] {
            assert!(!(retry.should_retry)(&Status::new(code, "")), "{code:?}");
        }
    }
}
