//! The registry as whoever carries its commands out sees it.

use salver_core_resource::Allocation;
use salver_core_servable::ServableId;
use salver_core_status::Status;
use salver_manager_harness::{Event, State};

use crate::Retry;
use crate::command::{Command, Moment, Outcome};
use crate::record::first;
use crate::registry::Registry;
use crate::room::exceeds;

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
}
