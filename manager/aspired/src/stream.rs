//! All versions of one stream: what is wished for, where each stands, and what follows from that.
//!
//! Nothing here waits or acts: what is to be done goes into an [`Outbox`], and what came of it returns as a
//! harness event.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::SystemTime;

use salver_core_loader::{Aspired, CancelFlag};
use salver_core_servable::{ServableId, ServableState, StateEvent, StreamName, Version};
use salver_core_status::Status;
use salver_manager_harness::{self as harness, Event, State};
use salver_manager_policy::{Action, Policy, VersionSnapshot};

/// What the driver is to do, in this order. `D` is what a version is loaded from.
#[derive(Debug)]
pub(crate) enum Command<D> {
    Load { id: ServableId, data: D, cancel: CancelFlag },
    Publish(ServableId),
    Withdraw(ServableId),
    Unload(ServableId),
    Report(StateEvent),
}

/// Commands of one turn, and the time of it.
pub(crate) struct Outbox<D> {
    pub(crate) now: SystemTime,
    pub(crate) commands: Vec<Command<D>>,
}

/// One stream. Versions that are over as they were meant to be are not kept.
pub(crate) struct Stream<D> {
    name: StreamName,
    versions: BTreeMap<Version, Record<D>>,
    /// What its source said last, where the source cannot tell.
    error: Option<Status>,
    /// Whether it is in the queue for a load thread.
    pub(crate) is_waiting: bool,
}

/// One version.
struct Record<D> {
    state: State,
    is_aspired: bool,
    revision: u64,
    /// What to load it from, until that is taken.
    data: Option<D>,
    /// Whether a load was begun.
    is_tried: bool,
    cancel: CancelFlag,
    /// What to begin anew with when this one is over: it was aspired again while on its way out, or its stored data
    /// changed while it was being loaded (and it then failed).
    successor: Option<Aspired<D>>,
}

impl<D> Outbox<D> {
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { now, commands: Vec::new() }
    }

    fn report(&mut self, id: &ServableId, state: ServableState, error: Option<Status>) {
        let event = StateEvent::Version { id: id.clone(), state, error, at: self.now };
        self.commands.push(Command::Report(event));
    }
}

impl<D> Stream<D> {
    pub(crate) fn new(name: StreamName) -> Self {
        Self { name, versions: BTreeMap::new(), error: None, is_waiting: false }
    }

    /// Whether no version is left.
    pub(crate) fn is_over(&self) -> bool {
        self.versions.is_empty()
    }

    /// Whether nothing is worth remembering.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.is_over() && self.error.is_none() && !self.is_waiting
    }

    /// What the policy wants done next.
    ///
    /// A version that is to come back once it is gone counts twice: as the one that is on its way out, and as one
    /// that is wanted and not there. Otherwise the stream could pass for one of which nothing is wanted.
    pub(crate) fn next_action(&self, policy: Policy) -> Option<Action> {
        let mut snapshots = Vec::with_capacity(self.versions.len());
        for (&version, record) in &self.versions {
            snapshots.push(VersionSnapshot { version, state: record.state, is_aspired: record.is_aspired });
            if record.successor.is_some() {
                snapshots.push(VersionSnapshot { version, state: State::Disabled, is_aspired: true });
            }
        }
        policy.next_action(&snapshots)
    }

    /// The source cannot tell: everything stays as it is.
    pub(crate) fn trouble(&mut self, status: Status, out: &mut Outbox<D>) {
        if self.error.as_ref() == Some(&status) {
            return;
        }
        self.error = Some(status.clone());
        out.commands
            .push(Command::Report(StateEvent::Stream { name: self.name.clone(), error: Some(status) }));
    }

    /// These versions are wanted, and no others.
    pub(crate) fn aspire(&mut self, versions: Vec<Aspired<D>>, out: &mut Outbox<D>) {
        if self.error.take().is_some() {
            out.commands.push(Command::Report(StateEvent::Stream { name: self.name.clone(), error: None }));
        }
        let mut wanted = BTreeMap::new();
        for aspired in versions {
            match wanted.entry(aspired.version) {
                Entry::Vacant(place) => {
                    place.insert(aspired);
                }
                Entry::Occupied(place) => {
                    let version = place.key();
                    tracing::warn!(model = %self.name, %version, "version aspired twice in one set, the first counts");
                }
            }
        }
        let is_unwanted = |version: &&Version| !wanted.contains_key(version);
        for version in self.versions.keys().filter(is_unwanted).copied().collect::<Vec<_>>() {
            self.unaspire_one(version, out);
        }
        for aspired in wanted.into_values() {
            self.aspire_one(aspired, out);
        }
    }

    fn unaspire_one(&mut self, version: Version, out: &mut Outbox<D>) {
        let Some(record) = self.versions.get_mut(&version) else { return };
        record.is_aspired = false;
        record.successor = None;
        match record.state {
            State::New
            | State::Loading
            | State::LoadRequested
            | State::Estimating
            | State::LoadApproved
            | State::Retrying => {
                self.step(version, Event::Cancelled, None, out);
            }
            State::Failed => {
                self.versions.remove(&version);
            }
            // When a ready one goes is for the policy to say; the others are going.
            _ => {}
        }
    }

    fn aspire_one(&mut self, aspired: Aspired<D>, out: &mut Outbox<D>) {
        let Some(record) = self.versions.get_mut(&aspired.version) else { return self.begin(aspired, out) };
        let is_changed = record.revision != aspired.revision;
        match record.state {
            State::New if is_changed => self.renew(aspired, out),
            State::New => {}
            State::Loading => record.successor = is_changed.then_some(aspired),
            State::Ready => record.is_aspired = true,
            State::Failed if !is_changed && (record.is_tried || aspired.data.is_err()) => {}
            State::Failed => self.begin(aspired, out),
            _ => {
                record.successor = Some(aspired);
            }
        }
    }

    /// Begins the life of a version, in place of an earlier one that is over.
    fn begin(&mut self, aspired: Aspired<D>, out: &mut Outbox<D>) {
        let Aspired { version, revision, data } = aspired;
        let (data, error) = match data {
            Ok(data) => (Some(data), None),
            Err(status) => (None, Some(status)),
        };
        let record = Record {
            state: State::New,
            is_aspired: true,
            revision,
            data,
            is_tried: false,
            cancel: CancelFlag::new(),
            successor: None,
        };
        self.versions.insert(version, record);
        match error {
            None => out.report(&self.id(version), ServableState::Start, None),
            Some(status) => {
                self.step(version, Event::Rejected, Some(status), out);
            }
        }
    }

    /// Gives a version that was not begun to be loaded what is stored now.
    fn renew(&mut self, aspired: Aspired<D>, out: &mut Outbox<D>) {
        let Some(record) = self.versions.get_mut(&aspired.version) else { return };
        record.revision = aspired.revision;
        match aspired.data {
            Ok(data) => record.data = Some(data),
            Err(status) => {
                self.step(aspired.version, Event::Rejected, Some(status), out);
            }
        }
    }

    /// Moves a version by one event, and says what follows. Returns false where the event was out of place: a bug,
    /// which leaves everything as it was.
    pub(crate) fn step(
        &mut self,
        version: Version,
        event: Event,
        error: Option<Status>,
        out: &mut Outbox<D>,
    ) -> bool {
        let events: &[Event] = match event {
            Event::LoadApproved => &[
                Event::LoadRequested,
                Event::EstimateStarted,
                Event::Estimated,
                Event::LoadApproved,
                Event::LoadStarted,
            ],
            Event::LoadSucceeded
                if self.versions.get(&version).is_some_and(|one| one.state == State::Cancelling) =>
            {
                &[Event::LoadSucceeded, Event::UnloadStarted]
            }
            Event::UnloadRequested => &[Event::UnloadRequested, Event::QuiesceStarted],
            Event::LastHandleDropped => &[Event::LastHandleDropped, Event::UnloadStarted],
            _ => return self.step_once(version, event, error, out),
        };
        events.iter().all(|event| self.step_once(version, *event, error.clone(), out))
    }

    fn step_once(
        &mut self,
        version: Version,
        event: Event,
        error: Option<Status>,
        out: &mut Outbox<D>,
    ) -> bool {
        let id = self.id(version);
        let Some(record) = self.versions.get_mut(&version) else {
            tracing::error!(%id, ?event, "event for a version that is not managed");
            debug_assert!(false, "{event:?} for {id}, which is not managed");
            return false;
        };
        let (next, action) = match harness::step(record.state, event) {
            Ok(done) => done,
            Err(illegal) => {
                tracing::error!(%id, error = %illegal, "event out of place");
                debug_assert!(false, "{id}: {illegal}");
                return false;
            }
        };
        record.state = next;
        match action {
            harness::Action::Load => {
                record.is_tried = true;
                if let Some(data) = record.data.take() {
                    let cancel = record.cancel.clone();
                    out.report(&id, ServableState::Loading, None);
                    out.commands.push(Command::Load { id, data, cancel });
                }
            }
            harness::Action::Publish => {
                record.successor = None;
                out.commands.push(Command::Publish(id.clone()));
                out.report(&id, ServableState::Available, None);
            }
            harness::Action::Cancel => {
                record.cancel.cancel();
                out.report(&id, ServableState::Unloading, None);
            }
            harness::Action::Announce => out.report(&id, ServableState::Unloading, None),
            harness::Action::Withdraw => out.commands.push(Command::Withdraw(id)),
            harness::Action::QueueLoad
            | harness::Action::Estimate
            | harness::Action::Reserve
            | harness::Action::Wait
            | harness::Action::QueueUnload => {}
            harness::Action::Unload => out.commands.push(Command::Unload(id)),
            harness::Action::End => {
                // A load that was called off did not fail, whatever it returned.
                out.report(&id, ServableState::End, error.filter(|_| next == State::Failed));
                let successor = record.successor.take();
                if next == State::Disabled {
                    self.versions.remove(&version);
                }
                if let Some(successor) = successor {
                    self.begin(successor, out);
                }
            }
        }
        true
    }

    fn id(&self, version: Version) -> ServableId {
        ServableId::new(self.name.clone(), version)
    }
}
