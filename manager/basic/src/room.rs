//! Who gets room, who waits for it, and who is refused.
//!
//! What does not fit waits only if it would fit once everything is gone that is on its way out: versions that are being
//! unloaded or called off, and what loads take only while they last. Nobody waits for what may never come.
//!
//! First come, first served. One goes past those who wait before it only if it takes nothing that they are to get: it
//! fits now, and would fit beside all of them once everything is gone that is on its way out.

use std::collections::BTreeMap;

use salver_core_resource::{Allocation, Tracker};
use salver_core_servable::ServableId;
use salver_core_status::Status;
use salver_manager_harness::{Event, State};

use crate::record::Record;
use crate::registry::Registry;

/// What the room will be once everything is gone that is on its way out.
struct Prospect {
    /// With those counted who were given room since.
    to_come: Tracker,
    /// With those counted, too, who wait before the one that is looked at.
    ahead: Tracker,
    /// Whether somebody waits who does not fit beside those before. Nobody goes past them.
    is_blocked: bool,
}

enum Verdict {
    Now,
    Later,
    Never(Status),
}

impl<D> Registry<D> {
    /// Gives room to those who wait for it, and refuses those whom none will come for.
    pub(crate) fn give_room(&mut self) {
        let mut prospect: Option<Prospect> = None;
        for id in std::mem::take(&mut self.lines.room) {
            let Some(record) = self.records.get(&id) else { continue };
            let (peak, loaded) = (record.peak(), &record.estimate.loaded);
            let verdict = match &mut prospect {
                None if self.tracker.clone().reserve(&peak).is_ok() => Verdict::Now,
                None => prospect.insert(self.prospect()).judge(&self.tracker, &peak, loaded),
                Some(prospect) => prospect.judge(&self.tracker, &peak, loaded),
            };
            match verdict {
                Verdict::Now => self.approve(&id, peak),
                Verdict::Later => self.lines.room.push_back(id),
                Verdict::Never(refusal) => {
                    self.refuse(&id, refusal.context(format_args!("{id} does not fit")));
                }
            }
        }
    }

    fn approve(&mut self, id: &ServableId, peak: Allocation) {
        if let Err(error) = self.tracker.reserve(&peak) {
            // Only just now there was room.
            return self.refuse(id, error);
        }
        if let Some(record) = self.records.get_mut(id) {
            record.reserved = peak;
        }
        // It may be less than others were kept waiting for.
        self.is_released = true;
        self.must_step(id, Event::LoadApproved, None);
    }

    fn prospect(&self) -> Prospect {
        let mut to_come = self.tracker.clone();
        for record in self.records.values() {
            to_come.release(&record.on_its_way_out());
        }
        Prospect { ahead: to_come.clone(), to_come, is_blocked: false }
    }
}

impl Prospect {
    /// Judges the next in the line, who takes `peak` while it is being loaded and `loaded` from then on.
    fn judge(&mut self, now: &Tracker, peak: &Allocation, loaded: &Allocation) -> Verdict {
        let fits_now = now.clone().reserve(peak);
        // What is to come is no less than what there is.
        if let (Err(_), Err(refusal)) = (self.to_come.clone().reserve(peak), &fits_now) {
            return Verdict::Never(refusal.clone());
        }
        let fits_beside_others = self.ahead.reserve(peak).is_ok();
        if fits_now.is_ok() && fits_beside_others && !self.is_blocked {
            // It has room for the peak, and this is no more.
            let _ = self.to_come.reserve(loaded);
            return Verdict::Now;
        }
        self.is_blocked |= !fits_beside_others;
        Verdict::Later
    }
}

impl<D> Record<D> {
    /// What of its reservation will be free without anybody's doing.
    fn on_its_way_out(&self) -> Allocation {
        match self.state {
            State::LoadApproved | State::Loading => self.reserved.saturating_sub(&self.estimate.loaded),
            state if state.is_going() => self.reserved.clone(),
            _ => Allocation::none(),
        }
    }
}

/// Whether more is taken than was estimated of any kind on any device, wherever on the device it is.
pub(crate) fn exceeds(taken: &Allocation, estimated: &Allocation) -> bool {
    let sums = |allocation: &Allocation| {
        let mut sums = BTreeMap::new();
        for (resource, quantity) in allocation.iter() {
            let sum: &mut u64 = sums.entry((resource.device.clone(), resource.kind.clone())).or_default();
            *sum = sum.saturating_add(quantity);
        }
        sums
    };
    let estimated = sums(estimated);
    sums(taken).iter().any(|(kind, taken)| *taken > estimated.get(kind).copied().unwrap_or(0))
}
