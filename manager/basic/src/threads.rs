//! The threads of a manager, and how it is asked for something from any other.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Sender, bounded, unbounded};
use parking_lot::Mutex;
use salver_core_clock::Clock;
use salver_core_loader::Loader;
use salver_core_resource::Allocation;
use salver_core_servable::ServableId;
use salver_core_status::Status;
use salver_manager_harness::State;
use salver_manager_serving_map::ServingMap;

use crate::Options;
use crate::command::{Moment, Rules};
use crate::core::{Core, Director};
use crate::driver::{Driver, Message};
use crate::pool::{Plan, Pool};
use crate::registry::Registry;
use crate::workers::{LoadJob, LoadWorker, UnloadJob, UnloadWorker};

/// What every manager is made of: a core behind a lock, one thread that carries out what the core decides, and threads
/// that load and unload. Thread-safe.
///
/// Dropping it takes every version away from requests, calls off loads, and waits for the loads and unloads that are
/// under way. It does not wait for handles: a servable in use at that moment is freed by its last handle, without its
/// loader's `unload`. To have everything unloaded in order, call [`Engine::shut_down`] first.
pub struct Engine<L: Loader, X: Director<L>> {
    shared: Arc<Shared<L, X>>,
    serving: Arc<ServingMap<L::Servable>>,
    thread: Option<JoinHandle<()>>,
}

/// What the manager's thread shares with whoever asks for something.
pub(crate) struct Shared<L: Loader, X> {
    /// Held for decisions, never while one is carried out.
    pub(crate) core: Mutex<Core<L, X>>,
    pub(crate) clock: Arc<dyn Clock>,
    messages: Sender<Message<L>>,
    /// Gone when the manager has ended.
    pools: Mutex<Option<Pools<L>>>,
}

struct Pools<L: Loader> {
    load: Pool<LoadJob<L>>,
    /// Does all loads while it is there.
    burst: Option<Pool<LoadJob<L>>>,
    /// Former ones.
    ended: Vec<JoinHandle<()>>,
    load_worker: Arc<LoadWorker<L>>,
    unload: Pool<UnloadJob<L>>,
    /// Of the pool `load`.
    num_load_threads: usize,
}

impl<L: Loader, X: Director<L>> Engine<L, X> {
    /// Starts with nothing to manage.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the total resources do not say of which device. RESOURCE_EXHAUSTED: the operating system has
    /// no thread to give.
    pub fn start(options: Options, director: X) -> Result<Self, Status> {
        let num_load_threads = options.num_load_threads.max(1);
        let num_unload_threads = options.num_unload_threads.max(1);
        let rules = Rules {
            load_slots: num_load_threads,
            unload_slots: num_unload_threads,
            retry: options.retry,
            total_resources: options.total_resources.unwrap_or_default(),
            order: options.order,
        };
        let clock = options.clock;
        let moment = Moment { now: clock.now(), date: SystemTime::now() };
        let core = Core::new(rules, director, moment)?;
        let (sender, messages) = unbounded();

        let load_worker = Arc::new(LoadWorker {
            observer: Arc::clone(&options.observer),
            before_load: options.before_load,
            after_load: options.after_load,
            done: sender.clone(),
        });
        let mut load = Pool::new(load_plan("salver-load", options.on_load_thread, &load_worker));
        load.resize(num_load_threads).map_err(no_thread)?;
        let unload_worker = UnloadWorker { after_unload: options.after_unload, done: sender.clone() };
        let work = Arc::new(move |job| unload_worker.work(job));
        let mut unload = Pool::new(Plan { name: "salver-unload", on_start: None, work });
        unload.resize(num_unload_threads).map_err(no_thread)?;

        let pools = Pools { load, burst: None, ended: Vec::new(), load_worker, unload, num_load_threads };
        let serving = Arc::new(options.shards.map_or_else(ServingMap::new, ServingMap::with_shards));
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            clock,
            messages: sender.clone(),
            pools: Mutex::new(Some(pools)),
        });
        let driver = Driver {
            shared: Arc::clone(&shared),
            serving: Arc::clone(&serving),
            observer: options.observer,
            messages,
            sender,
            loaded: HashMap::new(),
            waiting: Vec::new(),
            is_stopped: false,
        };
        let builder = thread::Builder::new().name("salver-manager".to_owned());
        let thread = builder.spawn(move || driver.run()).map_err(no_thread)?;
        Ok(Self { shared, serving, thread: Some(thread) })
    }

    /// Does something with the director and the registry, and has all that follows from it done, in order, by the
    /// manager's thread. Under the same rules as a [`Director`].
    pub fn act<R>(&self, act: impl FnOnce(&mut X, &mut Registry<L>) -> R) -> R {
        self.shared.act(act)
    }

    /// Where requests look versions up. It may outlive the manager, and is then empty.
    pub fn serving(&self) -> Arc<ServingMap<L::Servable>> {
        Arc::clone(&self.serving)
    }

    /// Where a version stands; `None` where it is not managed.
    ///
    /// It is what was decided: that requests find a ready version is so from the moment when it is reported.
    pub fn state(&self, id: &ServableId) -> Option<State> {
        self.shared.core.lock().registry().state(id)
    }

    /// What is reserved, and what there is.
    pub fn resources(&self) -> (Allocation, Allocation) {
        self.shared.core.lock().registry().resources()
    }

    /// Changes how many versions are loaded at a time, at least one. More threads start at once; fewer it are as they
    /// become idle, and no load is interrupted. During a burst it is for afterwards.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the operating system has no thread to give. UNAVAILABLE: the manager has ended.
    pub fn set_num_load_threads(&self, count: usize) -> Result<(), Status> {
        let count = count.max(1);
        let mut pools = self.shared.pools.lock();
        let pools = pools.as_mut().ok_or_else(ended)?;
        pools.load.resize(count).map_err(no_thread)?;
        pools.num_load_threads = count;
        if pools.burst.is_none() {
            self.act(|_, registry| registry.set_load_slots(count));
        }
        Ok(())
    }

    /// Loads on `count` threads of their own (at least one) until the burst ends: for the versions to begin with, when
    /// no request can be disturbed yet. They do not call [`Options::on_load_thread`].
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the operating system has no thread to give. UNAVAILABLE: the manager has ended.
    pub fn burst_load_threads(&self, count: usize) -> Result<(), Status> {
        let count = count.max(1);
        let mut pools = self.shared.pools.lock();
        let pools = pools.as_mut().ok_or_else(ended)?;
        let worker = &pools.load_worker;
        let burst = pools.burst.get_or_insert_with(|| Pool::new(load_plan("salver-burst", None, worker)));
        if let Err(error) = burst.resize(count) {
            // A pool without threads would keep the loads that are sent to it.
            if burst.is_empty() {
                pools.burst = None;
            }
            return Err(no_thread(error));
        }
        self.act(|_, registry| registry.set_load_slots(count));
        Ok(())
    }

    /// Ends a burst, if there is one: its threads end as they become idle, and the others take over. No load is
    /// interrupted, and none begins while there are more under way than the others could do.
    pub fn end_burst(&self) {
        let mut pools = self.shared.pools.lock();
        let Some(pools) = pools.as_mut() else { return };
        let Some(mut burst) = pools.burst.take() else { return };
        // Letting threads end cannot fail.
        let _ = burst.resize(0);
        pools.ended.retain(|thread| !thread.is_finished());
        pools.ended.extend(burst.close());
        let count = pools.num_load_threads;
        self.act(|_, registry| registry.set_load_slots(count));
    }

    /// Looks at the clock: for a clock that jumps, as in a test.
    pub fn nudge(&self) {
        let _ = self.shared.messages.send(Message::Look);
    }

    /// Unloads everything and takes in no more. Blocks until nothing is loaded, and returns true; or until the
    /// deadline, and returns false: a handle is still held, or a load or unload still runs.
    pub fn shut_down(&self, deadline: Instant) -> bool {
        let (sender, done) = bounded(1);
        self.shared.messages.send(Message::ShutDown(sender)).is_ok() && done.recv_deadline(deadline).is_ok()
    }

    fn is_own_thread(&self, id: ThreadId) -> bool {
        let is_manager = self.thread.as_ref().is_some_and(|thread| thread.thread().id() == id);
        let has_thread = |pools: &Pools<L>| {
            pools.load.has_thread(id)
                || pools.unload.has_thread(id)
                || pools.burst.as_ref().is_some_and(|burst| burst.has_thread(id))
                || pools.ended.iter().any(|thread| thread.thread().id() == id)
        };
        is_manager || self.shared.pools.lock().as_ref().is_some_and(has_thread)
    }
}

impl<L: Loader, X: Director<L>> Shared<L, X> {
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), date: SystemTime::now() }
    }

    pub(crate) fn act<R>(&self, act: impl FnOnce(&mut X, &mut Registry<L>) -> R) -> R {
        let mut core = self.core.lock();
        let had_commands = core.registry().has_commands();
        let result = core.act(self.moment(), act);
        let is_news = core.registry().has_commands() && !had_commands;
        drop(core);
        if is_news {
            // Nobody receives once the manager has ended.
            let _ = self.messages.send(Message::Look);
        }
        result
    }

    pub(crate) fn send_load(&self, job: LoadJob<L>) {
        if let Some(pools) = &*self.pools.lock() {
            pools.burst.as_ref().unwrap_or(&pools.load).send(job);
        }
    }

    pub(crate) fn send_unload(&self, job: UnloadJob<L>) {
        if let Some(pools) = &*self.pools.lock() {
            pools.unload.send(job);
        }
    }

    /// Lets all threads end once their jobs are done, and gives them out, to be joined.
    pub(crate) fn close_pools(&self) -> Vec<JoinHandle<()>> {
        let Some(pools) = self.pools.lock().take() else { return Vec::new() };
        let Pools { load, burst, ended, unload, .. } = pools;
        let burst = burst.map(Pool::close).unwrap_or_default();
        [load.close(), burst, ended, unload.close()].into_iter().flatten().collect()
    }
}

fn load_plan<L: Loader>(
    name: &'static str,
    on_start: Option<crate::Hook>,
    worker: &Arc<LoadWorker<L>>,
) -> Plan<LoadJob<L>> {
    let worker = Arc::clone(worker);
    Plan { name, on_start, work: Arc::new(move |job| worker.work(job)) }
}

fn no_thread(error: io::Error) -> Status {
    Status::resource_exhausted(format!("starting the manager's threads: {error}"))
}

fn ended() -> Status {
    Status::unavailable("the manager has ended")
}

impl<L: Loader, X: Director<L>> Drop for Engine<L, X> {
    fn drop(&mut self) {
        // Asked first: once it is told to stop, the manager's thread gives its record of the others up.
        let is_own_thread = self.is_own_thread(thread::current().id());
        let _ = self.shared.messages.send(Message::Stop);
        // A loader, a hook or an observer may hold the manager and drop it on a thread that cannot wait for itself.
        if is_own_thread {
            return;
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("manager's thread ended with a panic");
        }
    }
}

impl<L: Loader, X: Director<L>> fmt::Debug for Engine<L, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("serving", &self.serving).finish_non_exhaustive()
    }
}
