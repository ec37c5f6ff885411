//! The manager as its users see it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use salver_core_loader::{AspiredVersions, Loader, Target};
use salver_core_resource::Allocation;
use salver_core_servable::ServableId;
use salver_core_status::Status;
use salver_manager_basic::State;
use salver_manager_basic::engine::Engine;
use salver_manager_serving_map::ServingMap;

use crate::Options;
use crate::streams::Streams;

/// Loads and unloads versions until those are loaded that should be.
///
/// Thread-safe, and no call but [`shut_down`](Self::shut_down) blocks: it works on threads of its own, of which one
/// decides, some load and some unload.
///
/// Dropping it takes every version away from requests, calls off loads, and waits for the loads and unloads that are
/// under way. It does not wait for handles: a servable in use at that moment is freed by its last handle, without its
/// loader's `unload`. To have everything unloaded in order, call [`AspiredManager::shut_down`] first.
pub struct AspiredManager<L: Loader>(Engine<L, Streams<L>>);

impl<L: Loader> AspiredManager<L> {
    /// Starts a manager that has nothing to load yet.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the total resources do not say of which device. RESOURCE_EXHAUSTED: the operating system has
    /// no thread to give.
    pub fn start(options: Options) -> Result<Arc<Self>, Status> {
        let ((policy, policy_for), options) = options.split();
        Ok(Arc::new(Self(Engine::start(options, Streams::new(policy, policy_for))?)))
    }

    /// Where requests look versions up. It may outlive the manager, and is then empty.
    pub fn serving(&self) -> Arc<ServingMap<L::Servable>> {
        self.0.serving()
    }

    /// Where a version stands; `None` where it is not managed.
    ///
    /// It is what was decided: that requests find a ready version is so from the moment when it is reported.
    pub fn state(&self, id: &ServableId) -> Option<State> {
        self.0.state(id)
    }

    /// What is reserved, and what there is.
    pub fn resources(&self) -> (Allocation, Allocation) {
        self.0.resources()
    }

    /// Changes how many versions are loaded at a time, at least one. More threads start at once; fewer they are as they
    /// become idle, and no load is interrupted. During a burst it is for afterwards.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the operating system has no thread to give. UNAVAILABLE: the manager has ended.
    pub fn set_num_load_threads(&self, count: usize) -> Result<(), Status> {
        self.0.set_num_load_threads(count)
    }

    /// Loads on `count` threads of their own (at least one) until the burst ends: for the versions to begin with, when
    /// no request can be disturbed yet. They do not call [`Options::on_load_thread`].
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the operating system has no thread to give. UNAVAILABLE: the manager has ended.
    pub fn burst_load_threads(&self, count: usize) -> Result<(), Status> {
        self.0.burst_load_threads(count)
    }

    /// Ends a burst, if there is one: its threads end as they become idle, and the others take over.
    pub fn end_burst(&self) {
        self.0.end_burst();
    }

    /// Looks at the clock: for a clock that jumps, as in a test.
    pub fn nudge(&self) {
        self.0.nudge();
    }

    /// Unloads everything and takes in no more. Blocks until nothing is loaded, and returns true; or until the
    /// deadline, and returns false: a handle is still held, or a load or unload still runs.
    pub fn shut_down(&self, deadline: Instant) -> bool {
        self.0.shut_down(deadline)
    }
}

impl<L: Loader> Target<L> for AspiredManager<L> {
    fn set_aspired(&self, aspired: AspiredVersions<L>) {
        self.0.act(|streams, registry| streams.aspire(aspired, registry));
    }
}

impl<L: Loader> fmt::Debug for AspiredManager<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AspiredManager").field("serving", &self.serving()).finish_non_exhaustive()
    }
}
