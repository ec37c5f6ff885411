//! The manager's thread: takes messages, asks the reconciler, carries its commands out.
//!
//! The channel of messages is unbounded so that nobody who sends ever waits, request threads among them, and yet its
//! length is bounded: by one message per load, tenancy or unload under way, and one for all aspired sets that were
//! not taken in yet, of which there is one per stream.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use salver_core_loader::{Aspired, AspiredVersions, Loader};
use salver_core_servable::{ServableId, StateObserver, StreamName};
use salver_core_status::Status;
use salver_manager_serving_map::ServingMap;

use crate::reconcile::{Input, Reconciler};
use crate::stream::Command;
use crate::workers::{LoadJob, UnloadJob};

/// What the manager's thread is told.
pub(crate) enum Message<L: Loader> {
    /// There are aspired sets to take in.
    Aspired,
    LoadEnded(ServableId, Result<Loaded<L>, Status>),
    Vacant(ServableId),
    UnloadEnded(ServableId),
    /// Unload everything, take in no more, and send word when it is done.
    ShutDown(Sender<()>),
    /// End, as soon as no load or unload is under way.
    Stop,
}

/// A version that is loaded, and the reference that makes the manager the one who frees it.
pub(crate) struct Loaded<L: Loader> {
    pub(crate) loader: L,
    pub(crate) servable: Arc<L::Servable>,
}

/// What sources said of each stream since the manager last took it in.
pub(crate) type Pending<L> = Mutex<BTreeMap<StreamName, News<L>>>;

/// What sources said of one stream: the last set, and the trouble that came after it. Trouble does not undo a set.
pub(crate) struct News<L> {
    pub(crate) versions: Option<Vec<Aspired<L>>>,
    pub(crate) trouble: Option<Status>,
}

/// What the manager's thread owns.
pub(crate) struct Driver<L: Loader> {
    pub(crate) reconciler: Reconciler<L>,
    pub(crate) serving: Arc<ServingMap<L::Servable>>,
    pub(crate) observer: Arc<dyn StateObserver>,
    pub(crate) pending: Arc<Pending<L>>,
    pub(crate) messages: Receiver<Message<L>>,
    /// For the word of vacancy.
    pub(crate) sender: Sender<Message<L>>,
    pub(crate) loads: Sender<LoadJob<L>>,
    pub(crate) unloads: Sender<UnloadJob<L>>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) progress: Progress<L>,
}

/// What is loaded, and what is under way.
pub(crate) struct Progress<L: Loader> {
    loaded: HashMap<ServableId, Loaded<L>>,
    /// Loads and unloads that are with the workers.
    n_jobs: usize,
    is_closed: bool,
    is_stopped: bool,
    /// Who waits for everything to be unloaded.
    waiting: Vec<Sender<()>>,
}

impl<L> Default for News<L> {
    fn default() -> Self {
        Self { versions: None, trouble: None }
    }
}

impl<L: Loader> Progress<L> {
    pub(crate) fn new() -> Self {
        let (loaded, waiting) = (HashMap::new(), Vec::new());
        Self { loaded, n_jobs: 0, is_closed: false, is_stopped: false, waiting }
    }
}

impl<L: Loader> Driver<L> {
    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        while let Some(message) = self.next_message() {
            self.take(message);
            if self.reconciler.is_over() {
                for waiting in self.progress.waiting.drain(..) {
                    // Whoever waited may have given up.
                    let _ = waiting.try_send(());
                }
            }
        }
        let Self { loads, unloads, threads, .. } = self;
        drop((loads, unloads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("worker thread of the manager ended with a panic");
            }
        }
    }

    /// The next message; `None` when it is time to end.
    fn next_message(&self) -> Option<Message<L>> {
        if self.progress.is_stopped && self.progress.n_jobs == 0 {
            // Only handles in use can still be outstanding, and those are not waited for.
            self.messages.try_recv().ok()
        } else {
            self.messages.recv().ok()
        }
    }

    fn take(&mut self, message: Message<L>) {
        match message {
            Message::Aspired => {
                let pending = std::mem::take(&mut *self.pending.lock());
                for (stream, news) in pending {
                    self.take_news(stream, news);
                }
            }
            Message::LoadEnded(id, outcome) => {
                self.progress.n_jobs -= 1;
                let outcome = outcome.map(|loaded| {
                    self.progress.loaded.insert(id.clone(), loaded);
                });
                self.apply(Input::LoadEnded(id, outcome));
            }
            Message::Vacant(id) => self.apply(Input::Vacant(id)),
            Message::UnloadEnded(id) => {
                self.progress.n_jobs -= 1;
                self.apply(Input::UnloadEnded(id));
            }
            Message::ShutDown(waiting) => {
                self.progress.waiting.push(waiting);
                self.close();
            }
            Message::Stop => {
                self.progress.is_stopped = true;
                self.close();
            }
        }
    }

    fn take_news(&mut self, stream: StreamName, News { versions, trouble }: News<L>) {
        if self.progress.is_closed {
            return;
        }
        for versions in [versions.map(Ok), trouble.map(Err)].into_iter().flatten() {
            self.apply(Input::Aspired(AspiredVersions { stream: stream.clone(), versions }));
        }
    }

    fn close(&mut self) {
        self.progress.is_closed = true;
        self.apply(Input::UnaspireAll);
    }

    fn apply(&mut self, input: Input<L>) {
        for command in self.reconciler.apply(input, SystemTime::now()) {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command<L>) {
        match command {
            Command::Report(event) => self.observer.observe(event),
            Command::Load { id, data: loader, cancel } => {
                self.progress.n_jobs += 1;
                // The workers end after this thread does; there is somebody to receive.
                let _ = self.loads.send(LoadJob { id, loader, cancel });
            }
            Command::Publish(id) => {
                let Some(loaded) = self.progress.loaded.get(&id) else { return };
                let (sender, vacant) = (self.sender.clone(), id.clone());
                let on_vacant = move || {
                    // Nobody receives once the manager has ended, and nobody has to.
                    let _ = sender.send(Message::Vacant(vacant.clone()));
                };
                self.serving.publish(id, Arc::clone(&loaded.servable), on_vacant);
            }
            Command::Withdraw(id) => {
                self.serving.withdraw(&id);
            }
            Command::Unload(id) => {
                let Some(loaded) = self.progress.loaded.remove(&id) else { return };
                self.progress.n_jobs += 1;
                let _ = self.unloads.send(UnloadJob { id, loaded });
            }
        }
    }
}
