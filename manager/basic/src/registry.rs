//! Every managed version, where it stands, and what versions share: threads, room and time. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::time::{Duration, Instant, SystemTime};

use salver_core_loader::CancelFlag;
use salver_core_resource::{Allocation, Estimate, Tracker};
use salver_core_servable::{ServableId, ServableState, StateEvent, StreamName, Version};
use salver_core_status::{ErrorCode as _, Quoted, Status};
use salver_manager_harness::{self as harness, Action, Event, State};

use crate::room::exceeds;
use crate::{LoadOrder, Retry};

/// In place of waits that no clock can count.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// Told once how a load or an unload went.
pub type Done = Box<dyn FnOnce(Result<(), Status>) + Send>;

/// One moment, by the clock that waits are measured with and by the one that people read.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For waits.
    pub now: Instant,
    /// For reports.
    pub date: SystemTime,
}

/// What a registry keeps to.
#[derive(Clone)]
pub struct Rules {
    /// How many estimates and loads may run at a time.
    pub load_slots: usize,
    /// How many unloads may run at a time.
    pub unload_slots: usize,
    /// What becomes of an attempt to load that failed.
    pub retry: Retry,
    /// What all versions together may take, bound to devices. What it does not name is not limited.
    pub total_resources: Allocation,
    /// Who gets a free load thread first; `None`: first come, first served.
    pub order: Option<LoadOrder>,
}

/// What is to be done, in this order. `D` is what a version is loaded from. Of [`Estimate`](Command::Estimate),
/// [`Load`](Command::Load) and [`Unload`](Command::Unload) the outcome is to be told, once; of
/// [`Withdraw`](Command::Withdraw), when nobody uses the version any more.
pub enum Command<D> {
    /// Ask what it will take, on a load thread.
    Estimate {
        /// Which version.
        id: ServableId,
        /// To be given back with the outcome.
        data: D,
    },
    /// Load it, on a load thread.
    Load {
        /// Which version.
        id: ServableId,
        /// To be given back where it could not be loaded, and to be kept until it is unloaded where it could.
        data: D,
        /// Set when the load is no longer wanted.
        cancel: CancelFlag,
    },
    /// Let requests find it.
    Publish(ServableId),
    /// Keep requests from finding it.
    Withdraw(ServableId),
    /// Unload it, on an unload thread.
    Unload(ServableId),
    /// Tell the observer.
    Report(StateEvent),
    /// Drop what was never used.
    Drop(D),
    /// Drop what was used, which may take time.
    Discard(D),
    /// Tell somebody how it went.
    Answer(Done, Result<(), Status>),
}

/// What came of a command.
#[derive(Debug)]
pub enum Outcome<D> {
    /// Of [`Command::Estimate`].
    Estimated(ServableId, D, Result<Estimate, Status>),
    /// Of [`Command::Load`], with what was measured, if it was.
    Loaded(ServableId, Option<Allocation>),
    /// Of [`Command::Load`].
    NotLoaded(ServableId, D, Status),
    /// Of [`Command::Withdraw`]: nobody uses the version any more.
    Vacant(ServableId),
    /// Of [`Command::Unload`].
    Unloaded(ServableId),
}

/// Every managed version, where it stands, and what versions share. Requests and outcomes go in, commands come out.
///
/// Deterministic, and free of time, threads and I/O, so that every order of events can be tested. What a registry was
/// told takes effect on threads with [`dispatch`](Registry::dispatch).
pub struct Registry<D> {
    pub(crate) rules: Rules,
    pub(crate) tracker: Tracker,
    pub(crate) records: BTreeMap<ServableId, Record<D>>,
    pub(crate) lines: Lines,
    busy_loads: usize,
    busy_unloads: usize,
    moment: Moment,
    commands: Vec<Command<D>>,
    /// Versions that moved, and nobody has been told.
    moved: VecDeque<ServableId>,
    /// Whether there may be more room than there was, and nobody has been told.
    pub(crate) is_released: bool,
    is_closed: bool,
}

/// One version.
pub(crate) struct Record<D> {
    pub(crate) state: State,
    /// What to load it from, while no worker has it. Kept past a refusal for want of room.
    data: Option<D>,
    /// Whether a worker has had the data.
    is_used: bool,
    cancel: CancelFlag,
    retries: u32,
    retry_at: Option<Instant>,
    /// What the loader said before the present attempt.
    pub(crate) estimate: Estimate,
    /// What the tracker counts for it.
    pub(crate) reserved: Allocation,
    /// Why it failed.
    error: Option<Status>,
    done: Option<Done>,
}

/// Who waits for what, first come first. A version stands in one line at most.
#[derive(Default)]
pub(crate) struct Lines {
    /// `LoadRequested`, for a load thread to be estimated on.
    requested: VecDeque<ServableId>,
    /// `LoadRequested`, for room.
    pub(crate) room: VecDeque<ServableId>,
    /// `LoadApproved`, for a load thread.
    approved: VecDeque<ServableId>,
    /// `Retrying`, for the time to come.
    timers: BTreeSet<(Instant, ServableId)>,
    /// `Quiesced`, for an unload thread.
    quiesced: VecDeque<ServableId>,
    /// `Failed`, for want of room.
    refused: VecDeque<ServableId>,
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

/// Whoever carries commands out.
impl<D> Registry<D> {
    /// Says what time it is; waits that are over end.
    pub fn at(&mut self, moment: Moment) {
        self.moment = moment;
        while let Some((at, _)) = self.lines.timers.first()
            && *at <= moment.now
        {
            if let Some((_, id)) = self.lines.timers.pop_first() {
                self.must_step(&id, Event::WaitEnded, None);
            }
        }
    }

    /// Says what came of a command.
    pub fn take(&mut self, outcome: Outcome<D>) {
        match outcome {
            Outcome::Estimated(id, data, estimate) => {
                self.busy_loads = self.busy_loads.saturating_sub(1);
                match estimate {
                    Ok(estimate) => {
                        if let Some(record) = self.records.get_mut(&id) {
                            (record.data, record.estimate) = (Some(data), estimate);
                        }
                        self.must_step(&id, Event::Estimated, None);
                    }
                    Err(status) => self.attempt_failed(&id, data, status),
                }
            }
            Outcome::NotLoaded(id, data, status) => {
                self.busy_loads = self.busy_loads.saturating_sub(1);
                self.attempt_failed(&id, data, status);
            }
            Outcome::Loaded(id, measured) => {
                self.busy_loads = self.busy_loads.saturating_sub(1);
                self.settle(&id, measured);
                self.must_step(&id, Event::LoadSucceeded, None);
            }
            Outcome::Vacant(id) => self.must_step(&id, Event::LastHandleDropped, None),
            Outcome::Unloaded(id) => {
                self.busy_unloads = self.busy_unloads.saturating_sub(1);
                self.must_step(&id, Event::UnloadFinished, None);
            }
        }
    }

    /// Gives out room and threads as far as there are any. Returns whether anything moved.
    pub fn dispatch(&mut self) -> bool {
        let n_moved = self.moved.len();
        self.give_room();
        while self.busy_loads < self.rules.load_slots {
            let order = self.rules.order.as_ref();
            if let Some(id) = first(&mut self.lines.approved, order) {
                self.must_step(&id, Event::LoadStarted, None);
            } else if let Some(id) = first(&mut self.lines.requested, order) {
                self.must_step(&id, Event::EstimateStarted, None);
            } else {
                break;
            }
        }
        while self.busy_unloads < self.rules.unload_slots
            && let Some(id) = self.lines.quiesced.pop_front()
        {
            self.must_step(&id, Event::UnloadStarted, None);
        }
        self.moved.len() != n_moved
    }

    /// The next version that has moved since it was asked last.
    pub fn next_moved(&mut self) -> Option<ServableId> {
        self.moved.pop_front()
    }

    /// Whether there may be more room than when it was asked last.
    pub fn take_released(&mut self) -> bool {
        std::mem::take(&mut self.is_released)
    }

    /// What is to be done now.
    pub fn take_commands(&mut self) -> Vec<Command<D>> {
        std::mem::take(&mut self.commands)
    }
}

/// The steps they are made of.
impl<D> Registry<D> {
    /// Moves a version by an event that has to be in place. Where it is not, which is a bug, all stays as it was.
    pub(crate) fn must_step(&mut self, id: &ServableId, event: Event, error: Option<Status>) {
        if let Err(misplaced) = self.step(id, event, error) {
            tracing::error!(%id, ?event, error = %misplaced, "event out of place");
            debug_assert!(false, "{event:?}: {misplaced}");
        }
    }

    /// Moves a version by one event, and does what follows.
    fn step(&mut self, id: &ServableId, event: Event, error: Option<Status>) -> Result<(), Status> {
        let Some(record) = self.records.get_mut(id) else { return Err(not_managed(id)) };
        let before = record.state;
        let (next, action) = harness::step(before, event).map_err(|_| illegal(id, before, event))?;
        record.state = next;
        self.moved.push_back(id.clone());
        if matches!(event, Event::Cancelled | Event::Recalled | Event::Renewed | Event::Rejected) {
            self.lines.leave(id, before, record.retry_at.take());
        }
        match action {
            Action::QueueLoad if next == State::LoadApproved => self.lines.approved.push_back(id.clone()),
            Action::QueueLoad => {
                self.release(id);
                self.lines.requested.push_back(id.clone());
            }
            Action::StandDown => self.release(id),
            Action::Estimate => self.start_estimate(id),
            Action::Reserve => self.lines.room.push_back(id.clone()),
            Action::Load => self.start_load(id),
            Action::Wait => {
                self.release(id);
                self.wait(id, error);
            }
            Action::Publish => {
                self.commands.push(Command::Publish(id.clone()));
                self.report(id, ServableState::Available, None);
                let done = self.records.get_mut(id).and_then(|record| record.done.take());
                self.commands.extend(done.map(|done| Command::Answer(done, Ok(()))));
            }
            Action::Cancel => {
                record.cancel.cancel();
                self.report(id, ServableState::Unloading, None);
            }
            Action::Announce => self.report(id, ServableState::Unloading, None),
            Action::Withdraw => self.commands.push(Command::Withdraw(id.clone())),
            Action::QueueUnload => self.lines.quiesced.push_back(id.clone()),
            Action::Unload => {
                self.busy_unloads += 1;
                self.commands.push(Command::Unload(id.clone()));
            }
            Action::End => {
                self.release(id);
                self.end(id, before, error);
            }
        }
        Ok(())
    }

    fn start_estimate(&mut self, id: &ServableId) {
        let Some(record) = self.records.get_mut(id) else { return };
        let Some(data) = record.data.take() else { return };
        record.is_used = true;
        self.busy_loads += 1;
        self.commands.push(Command::Estimate { id: id.clone(), data });
    }

    fn start_load(&mut self, id: &ServableId) {
        let Some(record) = self.records.get_mut(id) else { return };
        let Some(data) = record.data.take() else { return };
        let cancel = record.cancel.clone();
        self.busy_loads += 1;
        self.report(id, ServableState::Loading, None);
        self.commands.push(Command::Load { id: id.clone(), data, cancel });
    }

    /// The loader could not tell what it will take, or could not load.
    fn attempt_failed(&mut self, id: &ServableId, data: D, status: Status) {
        let Some(record) = self.records.get_mut(id) else { return };
        record.data = Some(data);
        // A load that was called off did not fail, whatever it returned.
        let Retry { max_retries, should_retry, .. } = &self.rules.retry;
        let event = match record.state {
            State::Cancelling => Event::LoadFailed,
            _ if record.retries < *max_retries && should_retry(&status) => Event::AttemptFailed,
            _ => Event::LoadFailed,
        };
        self.must_step(id, event, Some(status));
    }

    fn wait(&mut self, id: &ServableId, error: Option<Status>) {
        let Some(record) = self.records.get_mut(id) else { return };
        let (now, wait) = (self.moment.now, self.rules.retry.wait(record.retries));
        let at = now.checked_add(wait).unwrap_or_else(|| now + FOR_EVER);
        record.retries += 1;
        record.retry_at = Some(at);
        self.lines.timers.insert((at, id.clone()));
        self.report(id, ServableState::Loading, error);
    }

    fn end(&mut self, id: &ServableId, before: State, error: Option<Status>) {
        let Some(record) = self.records.get_mut(id) else { return };
        let is_cancelled = before != State::Unloading || record.cancel.is_cancelled();
        let error = error.filter(|_| record.state == State::Failed);
        record.error.clone_from(&error);
        let result = match &error {
            Some(error) => Err(error.clone()),
            None if is_cancelled => {
                Err(Status::cancelled(format!("loading {} was called off", Quoted(&id.to_string()))))
            }
            None => Ok(()),
        };
        let done = record.done.take();
        let (data, is_used) = (record.data.take(), record.is_used);
        self.report(id, ServableState::End, error);
        self.drop_data(data, is_used);
        self.commands.extend(done.map(|done| Command::Answer(done, result)));
    }

    /// Ends a version for want of room. It may be tried once more, and keeps what it is loaded from.
    pub(crate) fn refuse(&mut self, id: &ServableId, refusal: Status) {
        let data = self.records.get_mut(id).and_then(|record| record.data.take());
        self.must_step(id, Event::Rejected, Some(refusal));
        if let Some(record) = self.records.get_mut(id) {
            record.data = data;
            self.lines.refused.push_back(id.clone());
        }
    }

    /// Ends a version's reservation, if it has one.
    fn release(&mut self, id: &ServableId) {
        let Some(record) = self.records.get_mut(id) else { return };
        let reserved = std::mem::take(&mut record.reserved);
        self.tracker.release(&reserved);
        // Even where there was nothing reserved yet, others may have been kept waiting for its sake.
        self.is_released = true;
    }

    /// Puts what a loaded version takes in the place of what was reserved for its load.
    fn settle(&mut self, id: &ServableId, measured: Option<Allocation>) {
        let Some(record) = self.records.get_mut(id) else { return };
        let estimated = &record.estimate.loaded;
        let taken = measured.unwrap_or_else(|| estimated.clone());
        if exceeds(&taken, estimated) {
            tracing::warn!(%id, %estimated, %taken, "version takes more than was estimated");
        }
        match self.tracker.settle(&record.reserved, &taken) {
            Ok(()) => {
                self.is_released |= taken != record.reserved;
                record.reserved = taken;
            }
            Err(error) => tracing::error!(%id, %error, "what a version takes cannot be counted"),
        }
    }

    fn drop_data(&mut self, data: Option<D>, was_used: bool) {
        let command = if was_used { Command::Discard } else { Command::Drop };
        self.commands.extend(data.map(command));
    }

    fn report(&mut self, id: &ServableId, state: ServableState, error: Option<Status>) {
        let event = StateEvent::Version { id: id.clone(), state, error, at: self.moment.date };
        self.commands.push(Command::Report(event));
    }
}

impl<D> Record<D> {
    fn new(data: Option<D>) -> Self {
        Self {
            state: State::New,
            data,
            is_used: false,
            cancel: CancelFlag::new(),
            retries: 0,
            retry_at: None,
            estimate: Estimate::default(),
            reserved: Allocation::none(),
            error: None,
            done: None,
        }
    }

    /// What it takes at most, while it is being loaded or afterwards.
    pub(crate) fn peak(&self) -> Allocation {
        self.estimate.loading.max(&self.estimate.loaded)
    }
}

impl Lines {
    /// Takes a version out of the line in which it waits, if it does.
    fn leave(&mut self, id: &ServableId, state: State, retry_at: Option<Instant>) {
        let stays = |other: &ServableId| other != id;
        match state {
            State::LoadRequested => {
                self.requested.retain(stays);
                self.room.retain(stays);
            }
            State::LoadApproved => self.approved.retain(stays),
            State::Retrying => {
                if let Some(at) = retry_at {
                    self.timers.remove(&(at, id.clone()));
                }
            }
            _ => {}
        }
    }
}

/// Takes the first of a line by `order`; of equals, and without an order, the one that came first.
fn first(line: &mut VecDeque<ServableId>, order: Option<&LoadOrder>) -> Option<ServableId> {
    let Some(order) = order else { return line.pop_front() };
    let (index, _) = line.iter().enumerate().min_by(|(_, one), (_, other)| order(one, other))?;
    line.remove(index)
}

fn not_managed(id: &ServableId) -> Status {
    Status::not_found(format!("{} is not managed", Quoted(&id.to_string())))
}

fn illegal(id: &ServableId, state: State, event: Event) -> Status {
    harness::Illegal { state, event }.to_status().context(Quoted(&id.to_string()))
}

impl<D> fmt::Debug for Registry<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.records.iter().map(|(id, record)| (id, record.state));
        f.debug_map().entries(states).finish()
    }
}
