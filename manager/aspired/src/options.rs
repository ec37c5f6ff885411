//! How a manager is to work.

use std::sync::Arc;

use salver_core_clock::Clock;
use salver_core_resource::Allocation;
use salver_core_servable::{StateObserver, StreamName};
use salver_manager_basic as basic;
use salver_manager_basic::{Hook, LoadHook, LoadOrder, Retry};
use salver_manager_policy::Policy;

/// The policy of each stream. Asked at every step of a stream; must return at once, and neither call the
/// manager nor panic.
pub type PolicyFor = Arc<dyn Fn(&StreamName) -> Policy + Send + Sync>;

/// How a manager is to work. [`Options::new`] fills in what is usual.
///
/// But for the policies they are those of a [basic manager](basic::Options).
pub struct Options {
    /// In which order the versions of a stream come and go.
    pub policy: Policy,
    /// The same, stream by stream, in place of `policy`.
    pub policy_for: Option<PolicyFor>,
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
    /// Who of those that are to be loaded gets a free load thread first; `None`: first come, first served. Unloads never
    /// wait for loads.
    pub order: Option<LoadOrder>,
    /// By which waits are measured.
    pub clock: Arc<dyn Clock>,
    /// Called on each load thread when it starts: the place to lower its priority. Not on those of a
    /// [burst](crate::AspiredManager::burst_load_threads).
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

impl Options {
    /// The usual: availability before memory, and [what is usual](basic::Options::new) for a basic manager.
    pub fn new(observer: Arc<dyn StateObserver>) -> Self {
        let basic = basic::Options::new(observer);
        Self {
            policy: Policy::AvailabilityPreserving,
            policy_for: None,
            num_load_threads: basic.num_load_threads,
            num_unload_threads: basic.num_unload_threads,
            shards: basic.shards,
            observer: basic.observer,
            retry: basic.retry,
            total_resources: basic.total_resources,
            order: basic.order,
            clock: basic.clock,
            on_load_thread: basic.on_load_thread,
            before_load: basic.before_load,
            after_load: basic.after_load,
            after_unload: basic.after_unload,
        }
    }

    /// The policies, and the rest.
    pub(crate) fn split(self) -> ((Policy, Option<PolicyFor>), basic::Options) {
        let basic = basic::Options {
            num_load_threads: self.num_load_threads,
            num_unload_threads: self.num_unload_threads,
            shards: self.shards,
            observer: self.observer,
            retry: self.retry,
            total_resources: self.total_resources,
            order: self.order,
            clock: self.clock,
            on_load_thread: self.on_load_thread,
            before_load: self.before_load,
            after_load: self.after_load,
            after_unload: self.after_unload,
        };
        ((self.policy, self.policy_for), basic)
    }
}
