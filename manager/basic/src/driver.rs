//! The manager's thread: takes messages, tells the core, carries its commands out.
//!
//! The channel of messages is unbounded so that nobody who sends ever waits, request threads among them, and yet its
//! length is bounded: by one message per job or tenancy under way, and one for all that was asked for since the thread
//! looked last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use salver_core_loader::Loader;
use salver_core_resource::Allocation;
use salver_core_servable::{ServableId, StateObserver};
use salver_manager_serving_map::ServingMap;

use crate::command::{Command, Outcome};
use crate::core::Director;
use crate::threads::Shared;
use crate::workers::{LoadJob, Loaded, UnloadJob, guarded};

/// What the manager's thread is told.
pub(crate) enum Message<L: Loader> {
    /// There are commands, or the clock has jumped.
    Look,
    Outcome(Outcome<L>),
    Loaded(ServableId, Loaded<L>, Option<Allocation>),
    /// Unload everything, take in no more, and send word when it is done.
    ShutDown(Sender<()>),
    /// End, as soon as no job is under way.
    Stop,
}

/// What the manager's thread owns.
pub(crate) struct Driver<L: Loader, X> {
    pub(crate) shared: Arc<Shared<L, X>>,
    pub(crate) serving: Arc<ServingMap<L::Servable>>,
    pub(crate) observer: Arc<dyn StateObserver>,
    pub(crate) messages: Receiver<Message<L>>,
    /// For the word of vacancy.
    pub(crate) sender: Sender<Message<L>>,
    pub(crate) loaded: HashMap<ServableId, Loaded<L>>,
    /// Who waits for everything to be unloaded.
    pub(crate) waiting: Vec<Sender<()>>,
    pub(crate) is_stopped: bool,
}

impl<L: Loader, X: Director<L>> Driver<L, X> {
    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        while let Some(message) = self.next_message() {
            self.take(message);
            self.carry_out_all();
            if !self.waiting.is_empty() && self.shared.core.lock().registry().is_over() {
                for waiting in self.waiting.drain(..) {
                    // Whoever waited may have given up.
                    let _ = waiting.try_send(());
                }
            }
        }
        self.shared.act(|_, registry| registry.abandon());
        self.carry_out_all();
        let threads = self.shared.close_pools();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("worker thread of the manager ended with a panic");
            }
        }
    }

    /// The next message; `None` when it is time to end.
    fn next_message(&self) -> Option<Message<L>> {
        let (n_busy, timer) = {
            let core = self.shared.core.lock();
            (core.registry().n_busy(), core.registry().next_timer())
        };
        if self.is_stopped && n_busy == 0 {
            // Only handles in use can still be outstanding, and those are not waited for.
            return self.messages.try_recv().ok();
        }
        let received = match timer {
            None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => {
                let wait = at.saturating_duration_since(self.shared.clock.now());
                match Instant::now().checked_add(wait) {
                    Some(deadline) => self.messages.recv_deadline(deadline),
                    None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                }
            }
        };
        match received {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => Some(Message::Look),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn take(&mut self, message: Message<L>) {
        let moment = self.shared.moment();
        match message {
            Message::Look => self.shared.core.lock().act(moment, |_, _| ()),
            Message::Outcome(outcome) => self.shared.core.lock().take(moment, outcome),
            Message::Loaded(id, loaded, measured) => {
                self.loaded.insert(id.clone(), loaded);
                self.shared.core.lock().take(moment, Outcome::Loaded(id, measured));
            }
            Message::ShutDown(waiting) => {
                self.waiting.push(waiting);
                self.shared.core.lock().close(moment);
            }
            Message::Stop => {
                self.is_stopped = true;
                self.shared.core.lock().close(moment);
            }
        }
    }

    /// Carries out what is to be done. Whoever is answered may ask for more, and then sends word of it.
    fn carry_out_all(&mut self) {
        let commands = self.shared.core.lock().take_commands();
        for command in commands {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command<L>) {
        match command {
            Command::Report(event) => guarded("observer", || self.observer.observe(event)),
            Command::Estimate { id, data: loader } => {
                self.shared.send_load(LoadJob::Estimate { id, loader });
            }
            Command::Load { id, data: loader, cancel } => {
                self.shared.send_load(LoadJob::Load { id, loader, cancel });
            }
            Command::Publish(id) => {
                let Some(loaded) = self.loaded.get(&id) else { return };
                let (sender, vacant) = (self.sender.clone(), id.clone());
                let on_vacant = move || {
                    // Nobody receives once the manager has ended, and nobody has to.
                    let _ = sender.send(Message::Outcome(Outcome::Vacant(vacant.clone())));
                };
                self.serving.publish(id, Arc::clone(&loaded.servable), on_vacant);
            }
            Command::Withdraw(id) => {
                self.serving.withdraw(&id);
            }
            Command::Unload(id) => {
                let Some(loaded) = self.loaded.remove(&id) else { return };
                self.shared.send_unload(UnloadJob::Unload { id, loaded });
            }
            Command::Discard(loader) => self.shared.send_unload(UnloadJob::Discard(loader)),
            Command::Drop(loader) => guarded("drop of a loader", || drop(loader)),
            Command::Answer(done, result) => guarded("answer", || done(result)),
        }
    }
}
