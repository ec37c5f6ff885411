//! The manager as its users see it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Instant;

use crossbeam_channel::{Sender, bounded, unbounded};
use parking_lot::Mutex;
use salver_core_loader::{AspiredVersions, Loader, Target};
use salver_core_servable::StateObserver;
use salver_core_status::Status;
use salver_manager_policy::Policy;
use salver_manager_serving_map::ServingMap;

use crate::driver::{Driver, Message, Pending, Progress};
use crate::reconcile::Reconciler;
use crate::workers;

/// How a manager is to work. [`Options::new`] fills in what is usual.
pub struct Options {
    /// In which order the versions of a stream come and go.
    pub policy: Policy,
    /// How many versions are loaded at a time, at least one.
    pub num_load_threads: usize,
    /// How many versions are unloaded at a time, at least one.
    pub num_unload_threads: usize,
    /// In how many places the handles of a version are counted; `None`: as many as threads run at once.
    pub shards: Option<usize>,
    /// Told where every version stands.
    pub observer: Arc<dyn StateObserver>,
    /// Called after each unload, on the unloading thread, before the version counts as over: the place to give memory
    /// back to the operating system.
    pub after_unload: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Loads and unloads versions until those are loaded that should be.
///
/// Thread-safe. It works on threads of its own: one decides, some load, some unload.
///
/// Dropping it takes every version away from requests, calls off loads, and waits for the loads and unloads that are
/// under way. It does not wait for handles: a servable in use at that moment is freed by its last handle, without its
/// loader's `unload`. To have everything unloaded in order, call [`AspiredManager::shut_down`] first.
pub struct AspiredManager<L: Loader> {
    serving: Arc<ServingMap<L::Servable>>,
    pending: Arc<Pending<L>>,
    messages: Sender<Message<L>>,
    thread: Option<JoinHandle<()>>,
    own_threads: Vec<ThreadId>,
}

impl Options {
    /// The usual: availability before memory, 4 load threads, 1 unload thread.
    pub fn new(observer: Arc<dyn StateObserver>) -> Self {
        Self {
            policy: Policy::AvailabilityPreserving,
            num_load_threads: 4,
            num_unload_threads: 1,
            shards: None,
            observer,
            after_unload: None,
        }
    }
}

impl<L: Loader> AspiredManager<L> {
    /// Starts a manager that has nothing to load yet.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the operating system has no thread to give.
    pub fn start(options: Options) -> Result<Arc<Self>, Status> {
        let no_thread =
            |error| Status::resource_exhausted(format!("starting the manager's threads: {error}"));
        let Options { policy, num_load_threads, num_unload_threads, shards, observer, after_unload } =
            options;
        let num_load_threads = num_load_threads.max(1);
        let (sender, messages) = unbounded();
        let (loads, load_jobs) = unbounded();
        let (unloads, unload_jobs) = unbounded();

        let done = sender.clone();
        let load = move |job| workers::load(job, &done);
        let mut threads =
            workers::spawn("salver-load", num_load_threads, &load_jobs, load).map_err(no_thread)?;
        let done = sender.clone();
        let unload = move |job| workers::unload(job, after_unload.as_ref(), &done);
        threads.extend(
            workers::spawn("salver-unload", num_unload_threads, &unload_jobs, unload).map_err(no_thread)?,
        );

        let mut own_threads: Vec<_> = threads.iter().map(|thread| thread.thread().id()).collect();

        let serving = Arc::new(shards.map_or_else(ServingMap::new, ServingMap::with_shards));
        let pending = Arc::new(Mutex::new(BTreeMap::new()));
        let driver = Driver {
            reconciler: Reconciler::new(policy, num_load_threads),
            serving: Arc::clone(&serving),
            observer,
            pending: Arc::clone(&pending),
            messages,
            sender: sender.clone(),
            loads,
            unloads,
            threads,
            progress: Progress::new(),
        };
        let builder = thread::Builder::new().name("salver-manager".to_owned());
        let thread = builder.spawn(move || driver.run()).map_err(no_thread)?;
        own_threads.push(thread.thread().id());
        Ok(Arc::new(Self { serving, pending, messages: sender, thread: Some(thread), own_threads }))
    }

    /// Where requests look versions up. It may outlive the manager, and is then empty.
    pub fn serving(&self) -> Arc<ServingMap<L::Servable>> {
        Arc::clone(&self.serving)
    }

    /// Unloads everything and takes in no more. Blocks until nothing is loaded, and returns true; or until the
    /// deadline, and returns false: a handle is still held, or a load or unload still runs.
    pub fn shut_down(&self, deadline: Instant) -> bool {
        let (sender, done) = bounded(1);
        self.messages.send(Message::ShutDown(sender)).is_ok() && done.recv_deadline(deadline).is_ok()
    }
}

impl<L: Loader> Target<L> for AspiredManager<L> {
    fn set_aspired(&self, aspired: AspiredVersions<L>) {
        let mut pending = self.pending.lock();
        let is_first = pending.is_empty();
        let news = pending.entry(aspired.stream).or_default();
        let replaced = match aspired.versions {
            Ok(versions) => {
                news.trouble = None;
                news.versions.replace(versions)
            }
            Err(status) => {
                news.trouble = Some(status);
                None
            }
        };
        drop(pending);
        // Loaders are not dropped under a lock.
        drop(replaced);
        if is_first {
            // Nobody receives once the manager has ended.
            let _ = self.messages.send(Message::Aspired);
        }
    }
}

impl<L: Loader> Drop for AspiredManager<L> {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        let Some(thread) = self.thread.take() else { return };
        // A loader, a hook or an observer may hold the manager and drop it on a thread that cannot wait for itself.
        if self.own_threads.contains(&thread::current().id()) {
            return;
        }
        if thread.join().is_err() {
            tracing::error!("manager's thread ended with a panic");
        }
    }
}

impl<L: Loader> fmt::Debug for AspiredManager<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AspiredManager").field("serving", &self.serving).finish_non_exhaustive()
    }
}
