//! The manager as its users see it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use salver_core_loader::Loader;
use salver_core_resource::Allocation;
use salver_core_servable::ServableId;
use salver_core_status::Status;
use salver_manager_harness::State;
use salver_manager_serving_map::ServingMap;

use crate::Options;
use crate::threads::Engine;

/// Loads and unloads single servable versions on request.
///
/// A version is managed, loaded, unloaded, and let go, each by a call. Thread-safe, and no call but
/// [`shut_down`](Self::shut_down) blocks: it works on threads of its own, of which one decides, some load and some
/// unload.
///
/// Dropping it takes every version away from requests, calls off loads, and waits for the loads and unloads that are
/// under way. It does not wait for handles: a servable in use at that moment is freed by its last handle, without its
/// loader's `unload`. To have everything unloaded in order, call [`BasicManager::shut_down`] first.
pub struct BasicManager<L: Loader>(Engine<L, ()>);

impl<L: Loader> BasicManager<L> {
    /// Starts a manager that has nothing to manage yet.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the total resources do not say of which device. RESOURCE_EXHAUSTED: the operating system has
    /// no thread to give.
    pub fn start(options: Options) -> Result<Arc<Self>, Status> {
        Ok(Arc::new(Self(Engine::start(options, ())?)))
    }

    /// Where requests look versions up. It may outlive the manager, and is then empty.
    pub fn serving(&self) -> Arc<ServingMap<L::Servable>> {
        self.0.serving()
    }

    /// Takes a version in, to be loaded by `loader`; one that comes with an error has failed with it.
    ///
    /// # Errors
    /// FAILED_PRECONDITION: it is managed already, and stays as it is. UNAVAILABLE: the manager is shutting down. The
    /// loader is dropped.
    pub fn manage(&self, id: ServableId, loader: Result<L, Status>) -> Result<(), Status> {
        self.0.act(|_, registry| registry.manage(id, loader))
    }

    /// Has a new version loaded. `done` is called once, when requests find it or it is certain that they never will.
    ///
    /// It is called on the manager's thread: it must return at once, and may call the manager, but for what blocks.
    /// Among what it may be told are NOT_FOUND: it is not managed; FAILED_PRECONDITION: it is not new;
    /// RESOURCE_EXHAUSTED: it does not fit, and nothing is on its way out that would make room; CANCELLED: it was called
    /// off; else what the loader said.
    pub fn load(&self, id: &ServableId, done: impl FnOnce(Result<(), Status>) + Send + 'static) {
        self.0.act(|_, registry| match registry.request_load(id) {
            Ok(()) => registry.when_done(id, Box::new(done)),
            Err(error) => registry.answer(Box::new(done), Err(error)),
        });
    }

    /// Has a ready version unloaded: it is taken away from requests, and freed when nobody uses it any more. `done` is
    /// called once, when that is done, under the same rules as with [`load`](Self::load).
    ///
    /// It may be told NOT_FOUND: it is not managed; FAILED_PRECONDITION: it is not ready.
    pub fn unload(&self, id: &ServableId, done: impl FnOnce(Result<(), Status>) + Send + 'static) {
        self.0.act(|_, registry| match registry.request_unload(id) {
            Ok(()) => registry.when_done(id, Box::new(done)),
            Err(error) => registry.answer(Box::new(done), Err(error)),
        });
    }

    /// Calls a load off. A wait ends at once, a loader is told that it may give up, and what is loaded all the same is
    /// unloaded without ever being available. Whoever asked for the load is told when it is over.
    ///
    /// # Errors
    /// NOT_FOUND: it is not managed. FAILED_PRECONDITION: it is not being loaded, and is not new.
    pub fn cancel(&self, id: &ServableId) -> Result<(), Status> {
        self.0.act(|_, registry| registry.cancel(id))
    }

    /// Forgets a version that is new or over.
    ///
    /// # Errors
    /// NOT_FOUND: it is not managed. FAILED_PRECONDITION: it is neither new nor over.
    pub fn stop_managing(&self, id: &ServableId) -> Result<(), Status> {
        self.0.act(|_, registry| registry.stop_managing(id))
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

impl<L: Loader> fmt::Debug for BasicManager<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicManager").field("serving", &self.serving()).finish_non_exhaustive()
    }
}
