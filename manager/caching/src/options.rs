//! How a manager is to work, and what it tells of its work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use salver_core_clock::{Clock, SystemClock};
use salver_core_resource::{Allocation, MAIN, RAM_BYTES};
use salver_core_servable::StateObserver;
use salver_manager_basic::Retry;

use crate::{BackOff, Eviction};

/// How a manager is to work. [`Options::new`] fills in what is usual.
pub struct Options {
    /// How many bytes all versions may take together: those that are loaded, being loaded or being unloaded.
    pub budget_bytes: u64,
    /// How many bytes of the budget an allocation counts for; by default its bytes of the machine's own memory. What
    /// counts for nothing is never evicted.
    pub weigh: fn(&Allocation) -> u64,
    /// Which versions are evicted first.
    pub eviction: Eviction,
    /// How long what failed is not tried again.
    pub back_off: BackOff,
    /// How many failures are remembered, for clients make names up.
    pub max_failures: usize,
    /// How many versions may be waiting to be loaded, and questions for the latest version to be answered; more are
    /// refused. For clients that make names up and leave.
    pub max_pending: usize,
    /// How long the factory's word on the latest version of a stream is good for. Older, it is asked again while requests
    /// go on finding the version that it named; another one takes its place once it is loaded.
    pub latest_for: Duration,
    /// How many threads call the factory, at least one.
    pub num_factory_threads: usize,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// How versions are loaded and unloaded. Its resources may be left open, for the budget is kept here.
    pub basic: salver_manager_basic::Options,
}

impl Options {
    /// The usual for a budget: what was used longest ago goes first, 2 threads for the factory, a latest version is good
    /// for 10 seconds, 1,024 failures are remembered, and as many versions may wait to be loaded.
    /// A load that fails is not tried again while somebody waits for it: whoever waits is told.
    pub fn new(budget_bytes: u64, observer: Arc<dyn StateObserver>) -> Self {
        let basic = salver_manager_basic::Options {
            retry: Retry::never(),
            ..salver_manager_basic::Options::new(observer)
        };
        Self {
            budget_bytes,
            weigh: main_memory,
            eviction: Eviction::default(),
            back_off: BackOff::default(),
            max_failures: 1024,
            max_pending: 1024,
            latest_for: Duration::from_secs(10),
            num_factory_threads: 2,
            clock: Arc::new(SystemClock),
            basic,
        }
    }
}

/// Bytes of the machine's own memory, bound or not.
fn main_memory(allocation: &Allocation) -> u64 {
    let of_main =
        allocation.iter().filter(|(resource, _)| resource.device == MAIN && resource.kind == RAM_BYTES);
    of_main.map(|(_, bytes)| bytes).fold(0, u64::saturating_add)
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("budget_bytes", &self.budget_bytes)
            .field("eviction", &self.eviction)
            .field("back_off", &self.back_off)
            .finish_non_exhaustive()
    }
}

/// What a manager has done since it began, and what it holds at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that found their version loaded, without waiting.
    pub hits: u64,
    /// All others.
    pub misses: u64,
    /// Those of the misses that were answered with a failure of before.
    pub refusals: u64,
    /// Loads that succeeded.
    pub loads: u64,
    /// Versions, and questions for the latest one, that failed.
    pub failures: u64,
    /// Versions that had to go.
    pub evictions: u64,
    /// Versions that are loaded.
    pub loaded: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// What is loaded, being loaded or being unloaded takes.
    pub used_bytes: u64,
    /// What it may take.
    pub budget_bytes: u64,
}
