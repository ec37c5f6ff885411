//! One version, and the lines in which versions wait.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use salver_core_loader::CancelFlag;
use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::ServableId;
use salver_core_status::Status;
use salver_manager_harness::State;

use crate::LoadOrder;
use crate::command::Done;

/// One version.
pub(crate) struct Record<D> {
    pub(crate) state: State,
    /// What to load it from, while no worker has it. Kept past a refusal for want of room.
    pub(crate) data: Option<D>,
    /// Whether a worker has had the data.
    pub(crate) is_used: bool,
    pub(crate) cancel: CancelFlag,
    pub(crate) retries: u32,
    pub(crate) retry_at: Option<Instant>,
    /// What the loader said before the present attempt.
    pub(crate) estimate: Estimate,
    /// What the tracker counts for it.
    pub(crate) reserved: Allocation,
    /// Why it failed.
    pub(crate) error: Option<Status>,
    pub(crate) done: Option<Done>,
}

/// Who waits for what, first come first. A version stands in one line at most.
#[derive(Default)]
pub(crate) struct Lines {
    /// `LoadRequested`, for a load thread to be estimated on.
    pub(crate) requested: VecDeque<ServableId>,
    /// `LoadRequested`, for room.
    pub(crate) room: VecDeque<ServableId>,
    /// `LoadApproved`, for a load thread.
    pub(crate) approved: VecDeque<ServableId>,
    /// `Retrying`, for the time to come.
    pub(crate) timers: BTreeSet<(Instant, ServableId)>,
    /// `Quiesced`, for an unload thread.
    pub(crate) quiesced: VecDeque<ServableId>,
    /// `Failed`, for want of room.
    pub(crate) refused: VecDeque<ServableId>,
}

impl<D> Record<D> {
    pub(crate) fn new(data: Option<D>) -> Self {
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
    pub(crate) fn leave(&mut self, id: &ServableId, state: State, retry_at: Option<Instant>) {
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
pub(crate) fn first(line: &mut VecDeque<ServableId>, order: Option<&LoadOrder>) -> Option<ServableId> {
    let Some(order) = order else { return line.pop_front() };
    let (index, _) = line.iter().enumerate().min_by(|(_, one), (_, other)| order(one, other))?;
    line.remove(index)
}
