//! Every managed version, where it stands, and what versions share: threads, room and time. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::time::Instant;

use salver_core_resource::{Allocation, Tracker};
use salver_core_servable::{ServableId, ServableState, StateEvent, StreamName, Version};
use salver_core_status::{Quoted, Status};
use salver_manager_harness::{Event, State};

use crate::command::{Command, Done, Moment, Rules};
use crate::record::{Lines, Record};
use crate::steps::{illegal, not_managed};

/// Every managed version, where it stands, and what versions share. Requests and outcomes go in, commands come out.
///
/// Deterministic, and free of time, threads and I/O, so that every order of events can be tested. What a registry was
/// told takes effect on threads with [`dispatch`](Registry::dispatch).
pub struct Registry<D> {
    pub(crate) rules: Rules,
    pub(crate) tracker: Tracker,
    pub(crate) records: BTreeMap<ServableId, Record<D>>,
    pub(crate) lines: Lines,
    pub(crate) busy_loads: usize,
    pub(crate) busy_unloads: usize,
    pub(crate) moment: Moment,
    pub(crate) commands: Vec<Command<D>>,
    /// Versions that moved, and nobody has been told.
    pub(crate) moved: VecDeque<ServableId>,
    /// Whether there may be more room than there was, and nobody has been told.
    pub(crate) is_released: bool,
    is_closed: bool,
}

/// Whoever asks for something.
impl<D> Registry<D> {
    /// Nothing managed yet.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the total resources do not say of which device.
    pub fn new(rules: Rules, moment: Moment) -> Result<Self, Status> {
        Ok(Self {
            tracker: Tracker::new(rules.total_resources.clone())?,
            rules,
            records: BTreeMap::new(),
            lines: Lines::default(),
            busy_loads: 0,
            busy_unloads: 0,
            moment,
            commands: Vec::new(),
            moved: VecDeque::new(),
            is_released: false,
            is_closed: false,
        })
    }

    /// Takes a version in, which then is new; or failed, where there is nothing to load it from.
    ///
    /// # Errors
    /// FAILED_PRECONDITION: it is managed already. UNAVAILABLE: no more is taken in. What was given is dropped.
    pub fn manage(&mut self, id: ServableId, data: Result<D, Status>) -> Result<(), Status> {
        let refusal = if self.is_closed {
            Some(Status::unavailable("the manager is shutting down"))
        } else if self.records.contains_key(&id) {
            Some(Status::failed_precondition(format!("{} is managed already", Quoted(&id.to_string()))))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.commands.extend(data.ok().map(Command::Drop));
            return Err(refusal);
        }
        let (data, error) = match data {
            Ok(data) => (Some(data), None),
            Err(status) => (None, Some(status)),
        };
        self.records.insert(id.clone(), Record::new(data));
        match error {
            None => {
                self.report(&id, ServableState::Start, None);
                self.moved.push_back(id);
            }
            Some(error) => self.must_step(&id, Event::Rejected, Some(error)),
        }
        Ok(())
    }

    /// Wants a new version loaded.
    ///
    /// # Errors
    /// NOT_FOUND: it is not managed. FAILED_PRECONDITION: it is not new.
    pub fn request_load(&mut self, id: &ServableId) -> Result<(), Status> {
        self.step(id, Event::LoadRequested, None)
    }

    /// Takes back that a version is to be loaded, which no worker is at: it is new again.
    ///
    /// # Errors
    /// NOT_FOUND: it is not managed. FAILED_PRECONDITION: it is past that, or was not to be loaded.
    pub fn recall(&mut self, id: &ServableId) -> Result<(), Status> {
        self.step(id, Event::Recalled, None)
    }

    /// Wants a ready version unloaded.
    ///
    /// # Errors
    /// NOT_FOUND: it is not managed. FAILED_PRECONDITION: it is not ready.
    pub fn request_unload(&mut self, id: &ServableId) -> Result<(), Status> {
        self.step(id, Event::UnloadRequested, None)?;
        self.step(id, Event::QuiesceStarted, None)
    }

    /// Has somebody told when the load or unload of a version that is under way is over; in place of whoever was to be
    /// told before.
    pub fn when_done(&mut self, id: &ServableId, done: Done) {
        if let Some(record) = self.records.get_mut(id) {
            record.done = Some(done);
        }
    }

    /// Tells somebody something, after all that was decided before is done.
    pub fn answer(&mut self, done: Done, result: Result<(), Status>) {
        self.commands.push(Command::Answer(done, result));
    }

    /// Calls the load of a version off, or that it be loaded at all.
    ///
    /// # Errors
    /// NOT_FOUND: it is not managed. FAILED_PRECONDITION: there is nothing to call off.
    pub fn cancel(&mut self, id: &ServableId) -> Result<(), Status> {
        self.step(id, Event::Cancelled, None)
    }

    /// Gives a version that no worker is at something else to load it from. Its attempts begin anew.
    ///
    /// # Errors
    /// NOT_FOUND: it is not managed. FAILED_PRECONDITION: it is past that. What was given is dropped.
    pub fn renew(&mut self, id: &ServableId, data: Result<D, Status>) -> Result<(), Status> {
        let refusal = match self.records.get(id).map(|record| record.state) {
            None => Some(not_managed(id)),
            Some(State::New | State::LoadRequested | State::LoadApproved | State::Retrying) => None,
            Some(state) => Some(illegal(id, state, Event::Renewed)),
        };
        match (data, refusal) {
            (Ok(data), Some(refusal)) => {
                self.commands.push(Command::Drop(data));
                Err(refusal)
            }
            (Err(_), Some(refusal)) => Err(refusal),
            (Err(error), None) => self.step(id, Event::Rejected, Some(error)),
            (Ok(data), None) => {
                let Some(record) = self.records.get_mut(id) else { return Ok(()) };
                let former = record.data.replace(data);
                let was_used = std::mem::replace(&mut record.is_used, false);
                record.retries = 0;
                let is_new = record.state == State::New;
                self.drop_data(former, was_used);
                if is_new { Ok(()) } else { self.step(id, Event::Renewed, None) }
            }
        }
    }

    /// Forgets a version that is new or over.
    ///
    /// # Errors
    /// NOT_FOUND: it is not managed. FAILED_PRECONDITION: it is neither new nor over.
    pub fn stop_managing(&mut self, id: &ServableId) -> Result<(), Status> {
        let Some(record) = self.records.get(id) else { return Err(not_managed(id)) };
        if record.state != State::New && !record.state.is_over() {
            let (id, state) = (id.to_string(), record.state);
            let message =
                format!("{} is {state:?}, and only a version that is new or over can be let go", Quoted(&id));
            return Err(Status::failed_precondition(message));
        }
        if record.state == State::New {
            // Whoever heard of its start is to hear of its end.
            self.step(id, Event::Cancelled, None)?;
        }
        if let Some(record) = self.records.remove(id) {
            self.lines.refused.retain(|other| other != id);
            self.drop_data(record.data, record.is_used);
        }
        Ok(())
    }

    /// Makes new again what failed for want of room and would now fit: those that failed first come first. What it is
    /// loaded from is the same.
    pub fn revive_what_fits(&mut self) {
        let mut room = self.tracker.clone();
        for id in std::mem::take(&mut self.lines.refused) {
            let Some(record) = self.records.get_mut(&id) else { continue };
            if self.is_closed || room.reserve(&record.peak()).is_err() {
                self.lines.refused.push_back(id);
                continue;
            }
            *record = Record { is_used: record.is_used, ..Record::new(record.data.take()) };
            self.report(&id, ServableState::Start, None);
            self.moved.push_back(id);
        }
    }

    /// Tells the observer, after all that was decided before is done.
    pub fn tell(&mut self, event: StateEvent) {
        self.commands.push(Command::Report(event));
    }

    /// Drops data, after all that was decided before is done.
    pub fn drop_later(&mut self, data: D) {
        self.commands.push(Command::Drop(data));
    }

    /// Changes how many loads may run at a time, at least one. None that runs is interrupted.
    pub fn set_load_slots(&mut self, slots: usize) {
        self.rules.load_slots = slots.max(1);
    }

    /// Unloads everything, calls all loads off, and takes in no more.
    pub fn close(&mut self) {
        self.is_closed = true;
        // Everybody leaves; one by one that would take long.
        let Lines { requested, room, approved, .. } = &mut self.lines;
        for line in [requested, room, approved] {
            line.clear();
        }
        for id in self.records.keys().cloned().collect::<Vec<_>>() {
            match self.state(&id) {
                Some(State::Ready) => {
                    self.must_step(&id, Event::UnloadRequested, None);
                    self.must_step(&id, Event::QuiesceStarted, None);
                }
                Some(state) if state == State::New || state.is_coming() => {
                    self.must_step(&id, Event::Cancelled, None);
                }
                _ => {}
            }
        }
    }

    /// Tells everybody who still waits that nothing will come of it.
    pub fn abandon(&mut self) {
        let waiting = self.records.values_mut().filter_map(|record| record.done.take());
        let ended = |done| Command::Answer(done, Err(Status::cancelled("the manager has ended")));
        self.commands.extend(waiting.map(ended));
    }
}

/// Whoever looks.
impl<D> Registry<D> {
    /// Where a version stands; `None` where it is not managed.
    pub fn state(&self, id: &ServableId) -> Option<State> {
        self.records.get(id).map(|record| record.state)
    }

    /// Why a version failed, if it did.
    pub fn error(&self, id: &ServableId) -> Option<&Status> {
        self.records.get(id)?.error.as_ref()
    }

    /// Whether a worker ever had what the version is loaded from.
    pub fn is_tried(&self, id: &ServableId) -> bool {
        self.records.get(id).is_some_and(|record| record.is_used)
    }

    /// Every version of a stream and where it stands, ascending.
    pub fn stream(&self, name: &StreamName) -> impl Iterator<Item = (Version, State)> {
        let first = Version::new(0).map(|version| ServableId::new(name.clone(), version));
        let from = first.map_or(Bound::Unbounded, Bound::Included);
        let all = self.records.range((from, Bound::Unbounded));
        all.take_while(move |(id, _)| id.name == *name).map(|(id, record)| (id.version, record.state))
    }

    /// Every managed version.
    pub fn ids(&self) -> impl Iterator<Item = &ServableId> {
        self.records.keys()
    }

    /// What is reserved, and what there is.
    pub fn resources(&self) -> (Allocation, Allocation) {
        (self.tracker.used().clone(), self.tracker.total().clone())
    }

    /// How many commands are with workers.
    pub fn n_busy(&self) -> usize {
        self.busy_loads + self.busy_unloads
    }

    /// Whether no more is taken in.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether every version is over.
    pub fn is_over(&self) -> bool {
        self.records.values().all(|record| record.state.is_over())
    }

    /// When to look at the clock next, if ever.
    pub fn next_timer(&self) -> Option<Instant> {
        self.lines.timers.first().map(|(at, _)| *at)
    }

    /// Whether there is something to be done.
    pub fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }
}

impl<D> fmt::Debug for Registry<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.records.iter().map(|(id, record)| (id, record.state));
        f.debug_map().entries(states).finish()
    }
}
