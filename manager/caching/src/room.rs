//! Who gets room, who has to go for it, and what cannot be.

use std::sync::Arc;
use std::time::Instant;

use salver_core_servable::ServableId;
use salver_core_status::{Quoted, Status};

use crate::cache::Cache;
use crate::entry::{Command, Entry, Size, Stage};
use crate::meter::{Meter, Tick};

/// What is to be had of the room that somebody wants.
enum Room {
    Free,
    Later,
    /// Never, while so much is pinned.
    Pinned(u64),
}

impl<L, W> Cache<L, W> {
    /// Lets those in that wait for room, in their order, as far as there is room; evicts so that there is.
    pub(crate) fn fill(&mut self, now: Instant) {
        while let Some(id) = self.queue.front().cloned() {
            let Some(Entry { stage: Stage::Queued(_, size), .. }) = self.entries.get(&id) else {
                self.queue.pop_front();
                continue;
            };
            let size = *size;
            match self.make_room(size.peak()) {
                Room::Free => self.load(&id, size, now),
                Room::Later => return,
                Room::Pinned(pinned) => {
                    // Not remembered as a failure: it may be different as soon as a pin is gone.
                    let status = all_pinned(&id, size.peak(), pinned, self.budget_bytes);
                    let waiters = self.entries.get_mut(&id).map(|entry| std::mem::take(&mut entry.waiters));
                    self.give_up_queued(&id);
                    for waiter in waiters.unwrap_or_default() {
                        self.answer(Some(waiter), Err(status.clone()));
                    }
                }
            }
        }
    }

    fn load(&mut self, id: &ServableId, size: Size, now: Instant) {
        self.queue.pop_front();
        let Some(entry) = self.entries.get_mut(id) else { return };
        let meter = Arc::new(Meter::new(Tick::of(now, self.began)));
        let reserved = size.peak();
        let loading = Stage::Loading { reserved, size, meter: Arc::clone(&meter), began: now };
        self.used_bytes = self.used_bytes.saturating_add(reserved);
        if let Stage::Queued(loader, _) = std::mem::replace(&mut entry.stage, loading) {
            self.commands.push(Command::Load(id.clone(), loader, meter));
        }
    }

    /// Whether there is room for so much, and if not, what can be done about it: that is done.
    fn make_room(&mut self, wanted: u64) -> Room {
        let free = self.budget_bytes.saturating_sub(self.used_bytes);
        if wanted <= free {
            return Room::Free;
        }
        let (mut pinned, mut leaving, mut evictable, mut loading) = (0_u64, 0_u64, 0_u64, 0_u64);
        for (id, entry) in &self.entries {
            let is_pinned = self.pins.contains_key(id);
            let (sum, bytes) = match &entry.stage {
                Stage::Making | Stage::Queued(..) => continue,
                Stage::Loading { reserved, size, .. } if is_pinned => {
                    // What it takes beyond what it will keep comes free when it is loaded.
                    pinned = pinned.saturating_add(size.loaded);
                    (&mut loading, reserved.saturating_sub(size.loaded))
                }
                Stage::Loading { reserved, .. } => (&mut loading, *reserved),
                Stage::Loaded(standing) if is_pinned => (&mut pinned, standing.bytes),
                Stage::Loaded(standing) => (&mut evictable, standing.bytes),
                Stage::Leaving { reserved } => (&mut leaving, *reserved),
            };
            *sum = sum.saturating_add(bytes);
        }
        let coming = free.saturating_add(leaving);
        if wanted > self.budget_bytes.saturating_sub(pinned) {
            return Room::Pinned(pinned);
        }
        // Nothing goes while that would not suffice; loads that end will be evictable.
        if wanted > coming && wanted <= coming.saturating_add(evictable) {
            self.evict(wanted.saturating_sub(coming));
        }
        debug_assert!(leaving > 0 || evictable > 0 || loading > 0, "somebody waits for what will not come");
        Room::Later
    }

    /// Evicts what is over the budget, after a version turned out larger than was estimated.
    pub(crate) fn shed(&mut self) {
        let leaving = self.entries.values().map(|entry| match entry.stage {
            Stage::Leaving { reserved } => reserved,
            _ => 0,
        });
        let staying = self.used_bytes.saturating_sub(leaving.fold(0, u64::saturating_add));
        let over = staying.saturating_sub(self.budget_bytes);
        if over > 0 {
            self.evict(over);
        }
    }

    /// Takes versions away that are neither pinned nor being loaded, so that so much comes free.
    fn evict(&mut self, wanted: u64) {
        let pins = &self.pins;
        let candidates = self.entries.iter_mut().filter_map(|(id, entry)| match &mut entry.stage {
            Stage::Loaded(standing) if !pins.contains_key(id) => Some((id, standing)),
            _ => None,
        });
        for id in self.ranking.choose(candidates, wanted) {
            self.counts.evictions += u64::from(self.put_out(&id));
        }
    }

    /// Lets a version go that is loaded: nobody finds it from now on. Returns whether it was.
    pub(crate) fn put_out(&mut self, id: &ServableId) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        let Stage::Loaded(standing) = &entry.stage else { return false };
        entry.stage = Stage::Leaving { reserved: standing.bytes };
        if self.latest.get(&id.name) == Some(&id.version) {
            self.latest.remove(&id.name);
        }
        if self.labelled.get(&id.name) == Some(&id.version) {
            self.labelled.remove(&id.name);
            self.commands.push(Command::Label(id.name.clone(), None));
        }
        self.commands.push(Command::Unload(id.clone()));
        true
    }
}

fn all_pinned(id: &ServableId, wanted: u64, pinned: u64, budget: u64) -> Status {
    let (name, version) = (Quoted(id.name.as_str()), id.version);
    Status::resource_exhausted(format!(
        "version {version} of {name} does not fit: wants {wanted} bytes, {pinned} of the budget of {budget} are pinned"
    ))
}
