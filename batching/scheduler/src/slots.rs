//! The queues of a pool, listed by when a batch of theirs may leave.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use salver_batching_queue::{Queue, Ready, Task};

use crate::sync::Event;
use crate::work::{Gone, Work};
use crate::{Consumer, QueueOrder};

/// The queues of a pool, each in a slot of its own.
pub(crate) struct Slots<T: Task> {
    slots: Vec<Option<Slot<T>>>,
    free: Vec<usize>,
    /// Those whose batch may leave, the one that had its turn longest ago first.
    ready: BTreeSet<(u64, usize)>,
    /// Those whose batch may leave at a time.
    due: BTreeSet<(Instant, usize)>,
    /// How many turns there were.
    turns: u64,
    /// Whether a batch may leave as soon as a task is there.
    is_eager: bool,
}

/// A queue, and where it stands.
pub(crate) struct Slot<T: Task> {
    pub(crate) queue: Queue<T>,
    pub(crate) consumer: Arc<dyn Consumer<T>>,
    /// Whether its tasks can wait too long.
    pub(crate) can_reject: bool,
    /// What of it was given out and has not ended.
    pub(crate) in_flight: usize,
    pub(crate) is_closed: bool,
    /// As listed.
    state: Ready,
    /// When it had its last turn, in turns.
    turn: u64,
    gone: Arc<Event>,
}

impl<T: Task> Slots<T> {
    pub(crate) fn new(is_eager: bool) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            turns: 0,
            is_eager,
        }
    }

    /// Takes a queue in; returns its slot, and what tells when it is gone again.
    pub(crate) fn add(
        &mut self,
        queue: Queue<T>,
        consumer: Arc<dyn Consumer<T>>,
        can_reject: bool,
    ) -> (usize, Arc<Event>) {
        let gone = Arc::new(Event::default());
        let slot = Slot {
            queue,
            consumer,
            can_reject,
            in_flight: 0,
            is_closed: false,
            state: Ready::Never,
            turn: 0,
            gone: Arc::clone(&gone),
        };
        let id = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(id) {
            Some(free) => *free = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        (id, gone)
    }

    pub(crate) fn get(&self, id: usize) -> Option<&Slot<T>> {
        self.slots.get(id).and_then(Option::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: usize) -> Option<&mut Slot<T>> {
        self.slots.get_mut(id).and_then(Option::as_mut)
    }

    /// All that there may be, some of them free.
    pub(crate) fn ids(&self) -> std::ops::Range<usize> {
        0..self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// When the first task of all that wait has waited too long.
    pub(crate) fn rejects_at(&self) -> Option<Instant> {
        self.slots
            .iter()
            .flatten()
            .filter(|slot| slot.can_reject)
            .filter_map(|slot| slot.queue.rejects_at())
            .min()
    }

    /// How many have a batch that may leave.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn is_ready(&self, id: usize) -> bool {
        self.get(id).is_some_and(|slot| slot.state == Ready::Now)
    }

    /// When the next batch may leave of those that may not yet.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Lists what is due as ready.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            self.list(id, now);
        }
    }

    /// Lists a slot whose queue has changed where it belongs.
    pub(crate) fn list(&mut self, id: usize, now: Instant) {
        let Some(slot) = self.slots.get_mut(id).and_then(Option::as_mut) else { return };
        let state = match slot.queue.ready(now) {
            Ready::At(_) if self.is_eager => Ready::Now,
            Ready::At(at) if at <= now => Ready::Now,
            state => state,
        };
        // What happens at nearly every task.
        if state == slot.state {
            return;
        }
        let (former, turn) = (std::mem::replace(&mut slot.state, state), slot.turn);
        self.unlist(id, former, turn);
        match state {
            Ready::Now => self.ready.insert((turn, id)),
            Ready::At(at) => self.due.insert((at, id)),
            Ready::Never => false,
        };
    }

    /// Whose turn it is of those that are ready.
    pub(crate) fn first(&self, order: QueueOrder, now: Instant) -> Option<usize> {
        let rank = |&&(turn, id): &&(u64, usize)| {
            let best = self.get(id).and_then(|slot| slot.queue.best(now));
            (best.is_none(), best, turn)
        };
        let first = match order {
            QueueOrder::RoundRobin => self.ready.first(),
            QueueOrder::Ranked => self.ready.iter().min_by_key(rank),
        };
        first.map(|(_, id)| *id)
    }

    /// Gives out what a slot has. It is behind all others then, those that become ready later too.
    pub(crate) fn take(&mut self, id: usize, now: Instant) -> Option<Work<T>> {
        let slot = self.slots.get_mut(id).and_then(Option::as_mut)?;
        let (former, turn) = (std::mem::replace(&mut slot.state, Ready::Never), slot.turn);
        self.turns += 1;
        slot.turn = self.turns;
        slot.in_flight += 1;
        let taken = if self.is_eager { slot.queue.take_early(now) } else { slot.queue.take(now) };
        let consumer = Arc::clone(&slot.consumer);
        self.unlist(id, former, turn);
        self.list(id, now);
        let (dropped, batch) = (taken.dropped, taken.batch);
        Some(Work { slot: id, consumer, dropped, batch, since: now, is_run: true })
    }

    /// Gives out what of a slot has waited too long.
    pub(crate) fn reject(&mut self, id: usize, now: Instant) -> Option<Work<T>> {
        let slot = self.get_mut(id)?;
        slot.queue.rejects_at().filter(|at| *at <= now)?;
        let dropped = slot.queue.reject(now);
        slot.in_flight += 1;
        let consumer = Arc::clone(&slot.consumer);
        self.list(id, now);
        Some(Work { slot: id, consumer, dropped, batch: None, since: now, is_run: false })
    }

    /// Frees a slot that is closed and done with.
    pub(crate) fn remove_if_done(&mut self, id: usize) -> Option<Gone<T>> {
        let place = self.slots.get_mut(id)?;
        let slot = place.take_if(|slot| slot.is_closed && slot.in_flight == 0 && slot.queue.is_empty())?;
        self.unlist(id, slot.state, slot.turn);
        self.free.push(id);
        Some(Gone { event: slot.gone, queue: slot.queue, consumer: slot.consumer })
    }

    fn unlist(&mut self, id: usize, state: Ready, turn: u64) {
        match state {
            Ready::Now => self.ready.remove(&(turn, id)),
            Ready::At(at) => self.due.remove(&(at, id)),
            Ready::Never => false,
        };
    }
}
