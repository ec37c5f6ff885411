//! All streams, and the load threads that they share: events in, commands out.
//!
//! Deterministic and free of time, threads and I/O, so that every interleaving can be tested. The driver reports
//! each command's outcome exactly once.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use salver_core_loader::AspiredVersions;
use salver_core_servable::{ServableId, StreamName};
use salver_core_status::Status;
use salver_manager_harness::Event;
use salver_manager_policy::{Action, Policy};

use crate::stream::{Command, Outbox, Stream};

/// What happened.
#[derive(Debug)]
pub(crate) enum Input<D> {
    /// A source spoke.
    Aspired(AspiredVersions<D>),
    /// A [`Command::Load`] is over.
    LoadEnded(ServableId, Result<(), Status>),
    /// A version that was withdrawn is used by nobody any more.
    Vacant(ServableId),
    /// A [`Command::Unload`] is over.
    UnloadEnded(ServableId),
    /// Nothing is to be loaded any more.
    UnaspireAll,
}

pub(crate) struct Reconciler<D> {
    policy: Policy,
    /// How many loads may begin now.
    free_load_threads: usize,
    streams: BTreeMap<StreamName, Stream<D>>,
    /// Streams that wait for a load thread, each once: first come, first served.
    waiting: VecDeque<StreamName>,
}

impl<D> Reconciler<D> {
    pub(crate) fn new(policy: Policy, load_threads: usize) -> Self {
        let (streams, waiting) = (BTreeMap::new(), VecDeque::new());
        Self { policy, free_load_threads: load_threads, streams, waiting }
    }

    /// Whether no version is left, of any stream.
    pub(crate) fn is_over(&self) -> bool {
        self.streams.values().all(Stream::is_over)
    }

    /// Takes in what happened, and says what to do, in order.
    pub(crate) fn apply(&mut self, input: Input<D>, now: SystemTime) -> Vec<Command<D>> {
        let mut out = Outbox::new(now);
        match input {
            Input::Aspired(AspiredVersions { stream: name, versions }) => {
                let stream = self.streams.entry(name.clone()).or_insert_with(|| Stream::new(name.clone()));
                match versions {
                    Ok(versions) => stream.aspire(versions, &mut out),
                    Err(status) => stream.trouble(status, &mut out),
                }
                self.advance(&name, &mut out);
            }
            Input::LoadEnded(id, outcome) => {
                self.free_load_threads += 1;
                let (event, error) = match outcome {
                    Ok(()) => (Event::LoadSucceeded, None),
                    Err(status) => (Event::LoadFailed, Some(status)),
                };
                self.step(&id, event, error, &mut out);
            }
            Input::Vacant(id) => self.step(&id, Event::LastHandleDropped, None, &mut out),
            Input::UnloadEnded(id) => self.step(&id, Event::UnloadFinished, None, &mut out),
            Input::UnaspireAll => {
                for name in self.streams.keys().cloned().collect::<Vec<_>>() {
                    if let Some(stream) = self.streams.get_mut(&name) {
                        stream.aspire(Vec::new(), &mut out);
                    }
                    self.advance(&name, &mut out);
                }
            }
        }
        out.commands
    }

    fn step(&mut self, id: &ServableId, event: Event, error: Option<Status>, out: &mut Outbox<D>) {
        if let Some(stream) = self.streams.get_mut(&id.name) {
            stream.step(id.version, event, error, out);
        }
        // Those that wait come first: a stream of many versions does not keep a thread to itself.
        while self.free_load_threads > 0 {
            let Some(name) = self.waiting.pop_front() else { break };
            if let Some(stream) = self.streams.get_mut(&name) {
                stream.is_waiting = false;
            }
            self.advance(&name, out);
        }
        self.advance(&id.name, out);
    }

    /// Does for one stream all that can be done now.
    fn advance(&mut self, name: &StreamName, out: &mut Outbox<D>) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        while let Some(action) = stream.next_action(self.policy) {
            let is_done = match action {
                Action::Unload(version) => stream.step(version, Event::UnloadRequested, None, out),
                Action::Load(version) if self.free_load_threads > 0 => {
                    self.free_load_threads -= 1;
                    stream.step(version, Event::LoadApproved, None, out)
                }
                Action::Load(_) => {
                    if !stream.is_waiting {
                        stream.is_waiting = true;
                        self.waiting.push_back(name.clone());
                    }
                    false
                }
            };
            if !is_done {
                break;
            }
        }
        if stream.is_forgettable() {
            self.streams.remove(name);
        }
    }
}
