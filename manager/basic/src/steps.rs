//! One step of one version, and what follows from it.

use std::time::Duration;

use salver_core_servable::{ServableId, ServableState, StateEvent};
use salver_core_status::{ErrorCode as _, Quoted, Status};
use salver_manager_harness::{self as harness, Action, Event, State};

use crate::command::Command;
use crate::registry::Registry;

/// In place of waits that no clock can count.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

impl<D> Registry<D> {
    /// Moves a version by an event that has to be in place. Where it is not, which is a bug, all stays as it was.
    pub(crate) fn must_step(&mut self, id: &ServableId, event: Event, error: Option<Status>) {
        if let Err(misplaced) = self.step(id, event, error) {
            tracing::error!(%id, ?event, error = %misplaced, "event out of place");
            debug_assert!(false, "{event:?}: {misplaced}");
        }
    }

    /// Moves a version by one event, and does what follows.
    pub(crate) fn step(
        &mut self,
        id: &ServableId,
        event: Event,
        error: Option<Status>,
    ) -> Result<(), Status> {
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
                if event == Event::Renewed {
                    self.release(id);
                }
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
    pub(crate) fn release(&mut self, id: &ServableId) {
        let Some(record) = self.records.get_mut(id) else { return };
        let reserved = std::mem::take(&mut record.reserved);
        self.tracker.release(&reserved);
        // Even where there was nothing reserved yet, others may have been kept waiting for its sake.
        self.is_released = true;
    }

    pub(crate) fn drop_data(&mut self, data: Option<D>, was_used: bool) {
        let command = if was_used { Command::Discard } else { Command::Drop };
        self.commands.extend(data.map(command));
    }

    pub(crate) fn report(&mut self, id: &ServableId, state: ServableState, error: Option<Status>) {
        let event = StateEvent::Version { id: id.clone(), state, error, at: self.moment.date };
        self.commands.push(Command::Report(event));
    }
}

pub(crate) fn not_managed(id: &ServableId) -> Status {
    Status::not_found(format!("{} is not managed", Quoted(&id.to_string())))
}

pub(crate) fn illegal(id: &ServableId, state: State, event: Event) -> Status {
    harness::Illegal { state, event }.to_status().context(Quoted(&id.to_string()))
}
