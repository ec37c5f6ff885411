//! What a pool decides: whose batch runs next, on which thread, and who is woken for it.
//!
//! Nothing here waits, runs or wakes: time is an argument, and `pool` carries the decisions out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_batching_queue::{Batch, Dropped, Queue, Ready, Refused, Task};
use salver_core_status::Status;

use crate::crew::Crew;
use crate::limit::Limit;
use crate::sync::Event;
use crate::{Consumer, QueueOrder};

/// The queues of a pool and the threads that sleep.
pub(crate) struct Core<T: Task> {
    order: QueueOrder,
    limit: Limit,
    slots: Vec<Option<Slot<T>>>,
    free: Vec<usize>,
    /// The slots whose batch may leave, the one that had its turn longest ago first.
    ready: BTreeSet<(u64, usize)>,
    /// The slots whose batch may leave at a time.
    due: BTreeSet<(Instant, usize)>,
    crew: Crew,
    /// What was given out and has not ended.
    in_flight: usize,
    /// How many turns there were.
    turns: u64,
    /// The latest time heard of.
    now: Instant,
    /// Until when the thread that rejects sleeps; `None` for until it is woken.
    rejects_at: Option<Instant>,
    is_ending: bool,
}

/// A queue, and where it stands.
struct Slot<T: Task> {
    queue: Queue<T>,
    consumer: Arc<dyn Consumer<T>>,
    /// As listed in `ready` or `due`.
    state: Ready,
    /// When it had its last turn, in turns.
    turn: u64,
    /// Whether its tasks can wait too long.
    can_reject: bool,
    /// What of it was given out and has not ended.
    in_flight: usize,
    is_closed: bool,
    gone: Arc<Event>,
}

/// Something to do outside the lock. Whoever has it gives back an [`Ended`].
#[must_use]
pub(crate) struct Work<T> {
    pub(crate) slot: usize,
    pub(crate) consumer: Arc<dyn Consumer<T>>,
    pub(crate) dropped: Vec<Dropped<T>>,
    pub(crate) batch: Option<Batch<T>>,
    /// When it was given out.
    pub(crate) since: Instant,
    /// Whether it counts as in flight; what was rejected does not.
    pub(crate) is_run: bool,
}

/// That work was done.
pub(crate) struct Ended {
    pub(crate) slot: usize,
    pub(crate) since: Instant,
    pub(crate) is_run: bool,
    /// `None` where there was no batch.
    pub(crate) ran: Option<Ran>,
}

/// Which batch was run.
#[derive(Clone, Copy)]
pub(crate) struct Ran {
    pub(crate) padded_rows: usize,
    /// How long its first task had waited.
    pub(crate) waited: Duration,
    /// How long all had waited, on average.
    pub(crate) mean_wait: Duration,
}

/// A queue that is not there any more, to be dropped outside the lock before its event is set.
pub(crate) struct Gone<T: Task> {
    pub(crate) event: Arc<Event>,
    pub(crate) queue: Queue<T>,
    pub(crate) consumer: Arc<dyn Consumer<T>>,
}

/// Who is to be woken, outside the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Wake {
    pub(crate) worker: Option<usize>,
    /// The thread that rejects.
    pub(crate) rejecter: bool,
}

/// What a thread that is awake does next.
pub(crate) enum Next<T> {
    Run(Work<T>),
    /// Sleep until then, or until called.
    Rest(Option<Instant>),
    End,
}

/// What a test sees of a core.
#[cfg(all(test, not(loom)))]
pub(crate) struct Seen {
    pub(crate) has_room: bool,
    pub(crate) in_flight: usize,
    pub(crate) limit: usize,
    pub(crate) is_ready: bool,
    pub(crate) due: Option<Instant>,
    pub(crate) rejects_at: Option<Instant>,
}

impl<T: Task> Core<T> {
    pub(crate) fn new(order: QueueOrder, limit: Limit, now: Instant) -> Self {
        Self {
            order,
            limit,
            slots: Vec::new(),
            free: Vec::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            crew: Crew::default(),
            in_flight: 0,
            turns: 0,
            now,
            rejects_at: None,
            is_ending: false,
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
            state: Ready::Never,
            turn: 0,
            can_reject,
            in_flight: 0,
            is_closed: false,
            gone: Arc::clone(&gone),
        };
        let id = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(id) {
            Some(free) => *free = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        (id, gone)
    }

    /// Lets a task wait.
    pub(crate) fn push(&mut self, id: usize, task: T, now: Instant) -> (Result<(), Refused<T>>, Wake) {
        self.hear(now);
        let (pushed, rejecter) = self.wait(id, task);
        (pushed, Wake { rejecter, worker: self.wake() })
    }

    /// The same; but where nobody else waits and a batch may leave at once, the caller is given it to run.
    pub(crate) fn push_or_take(
        &mut self,
        id: usize,
        task: T,
        now: Instant,
    ) -> (Result<Option<Work<T>>, Refused<T>>, Wake) {
        self.hear(now);
        let is_alone = self.has_room()
            && self.ready.is_empty()
            && self.next_due().is_none_or(|due| due > self.now)
            && self.slot(id).is_some_and(|slot| slot.queue.is_empty());
        let (pushed, rejecter) = self.wait(id, task);
        let is_ready = self.slot(id).is_some_and(|slot| slot.state == Ready::Now);
        let work = if is_alone && is_ready && pushed.is_ok() { self.take(id) } else { None };
        (pushed.map(|()| work), Wake { rejecter, worker: self.wake() })
    }

    /// What the thread `worker` does next, which is awake and has done what it was given before, if anything.
    pub(crate) fn next(
        &mut self,
        worker: usize,
        ended: Option<&Ended>,
        now: Instant,
    ) -> (Next<T>, Option<Gone<T>>, Wake) {
        self.crew.up(worker);
        self.tick(now);
        let gone = ended.and_then(|ended| self.settle(ended));
        let work = if self.has_room() { self.first().and_then(|id| self.take(id)) } else { None };
        let next = match work {
            Some(work) => Next::Run(work),
            // What may be ready and has no room is seen to by the threads that fill it.
            None if self.is_ending => Next::End,
            None => {
                let due = self.next_due().filter(|_| self.has_room());
                Next::Rest(self.crew.rest(worker, due))
            }
        };
        (next, gone, Wake { worker: self.wake(), rejecter: self.is_over() })
    }

    /// Takes in that work was done by somebody else than a thread of the pool.
    pub(crate) fn ended(&mut self, ended: &Ended, now: Instant) -> (Option<Gone<T>>, Wake) {
        self.tick(now);
        let gone = self.settle(ended);
        (gone, Wake { worker: self.wake(), rejecter: false })
    }

    /// Lets a queue take no more; what waits is ready. It goes when all of it has ended.
    pub(crate) fn close(&mut self, id: usize, now: Instant) -> (Option<Gone<T>>, Wake) {
        self.hear(now);
        if let Some(slot) = self.slot_mut(id) {
            slot.queue.close();
            slot.is_closed = true;
        }
        self.list(id);
        let gone = self.remove_if_done(id);
        (gone, Wake { worker: self.wake(), rejecter: false })
    }

    /// Nobody is left who could add a queue: threads end once nothing is ready. Returns those to wake for it.
    pub(crate) fn end(&mut self) -> Vec<usize> {
        self.is_ending = true;
        self.crew.call_all()
    }

    /// Looks at the time.
    pub(crate) fn look(&mut self, now: Instant) -> Wake {
        self.tick(now);
        let rejecter = self.rejects_at.is_some_and(|at| at <= self.now);
        Wake { worker: self.wake(), rejecter }
    }

    /// Takes out of all queues what has waited too long. Returns until when the thread that rejects sleeps; `None` for
    /// until it is woken.
    pub(crate) fn reject(&mut self, now: Instant) -> (Vec<Work<T>>, Option<Instant>) {
        self.tick(now);
        let now = self.now;
        let mut works = Vec::new();
        for id in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(id).and_then(Option::as_mut) else { continue };
            if slot.queue.rejects_at().is_none_or(|at| at > now) {
                continue;
            }
            let dropped = slot.queue.reject(now);
            slot.in_flight += 1;
            let consumer = Arc::clone(&slot.consumer);
            works.push(Work { slot: id, consumer, dropped, batch: None, since: now, is_run: false });
            self.list(id);
        }
        self.rejects_at = self.slots.iter().flatten().filter_map(|slot| slot.queue.rejects_at()).min();
        (works, self.rejects_at)
    }

    /// What a test sees of it.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            has_room: self.has_room(),
            in_flight: self.in_flight,
            limit: self.limit.now(),
            is_ready: !self.ready.is_empty(),
            due: self.next_due(),
            rejects_at: self.slots.iter().flatten().filter_map(|slot| slot.queue.rejects_at()).min(),
        }
    }

    /// Whether nothing will come any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ending && self.slots.len() == self.free.len()
    }

    /// The queue in a slot.
    pub(crate) fn queue(&self, id: usize) -> Option<&Queue<T>> {
        self.slot(id).map(|slot| &slot.queue)
    }

    fn slot(&self, id: usize) -> Option<&Slot<T>> {
        self.slots.get(id).and_then(Option::as_ref)
    }

    fn slot_mut(&mut self, id: usize) -> Option<&mut Slot<T>> {
        self.slots.get_mut(id).and_then(Option::as_mut)
    }

    /// Threads read the clock before they have the lock, so times may come in a wrong order.
    fn hear(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Lists what is due by now as ready.
    fn tick(&mut self, now: Instant) {
        self.hear(now);
        while let Some(&(due, id)) = self.due.first()
            && due <= self.now
        {
            self.list(id);
        }
    }

    /// Returns also whether the thread that rejects sleeps for too long now.
    fn wait(&mut self, id: usize, task: T) -> (Result<(), Refused<T>>, bool) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(id).and_then(Option::as_mut) else {
            let status = Status::unavailable("the batch queue is gone");
            return (Err(Refused { task, status, dropped: Vec::new() }), false);
        };
        let pushed = slot.queue.push(task, now);
        let rejects_at = if slot.can_reject { slot.queue.rejects_at() } else { None };
        let is_earlier = rejects_at.is_some_and(|at| self.rejects_at.is_none_or(|until| at < until));
        if is_earlier {
            self.rejects_at = rejects_at;
        }
        // Also where it was refused: tasks may have been swept out for it.
        self.list(id);
        (pushed, is_earlier)
    }

    /// Takes in that work was done. A queue that is closed and done with is gone then.
    fn settle(&mut self, ended: &Ended) -> Option<Gone<T>> {
        let now = self.now;
        let took = now.saturating_duration_since(ended.since);
        if ended.is_run {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if let Some(Ran { mean_wait, .. }) = ended.ran {
            self.limit.note(mean_wait + took);
        }
        if let Some(slot) = self.slot_mut(ended.slot) {
            slot.in_flight = slot.in_flight.saturating_sub(1);
            if let Some(Ran { padded_rows, waited, .. }) = ended.ran {
                slot.queue.ran(padded_rows, took, waited, now);
            }
        }
        // What was measured may change what is ready.
        self.list(ended.slot);
        self.remove_if_done(ended.slot)
    }

    /// Lists a slot where it belongs.
    fn list(&mut self, id: usize) {
        let (now, is_eager) = (self.now, self.limit.is_adaptive());
        let Some(slot) = self.slots.get_mut(id).and_then(Option::as_mut) else { return };
        let state = match slot.queue.ready(now) {
            Ready::At(_) if is_eager => Ready::Now,
            Ready::At(at) if at <= now => Ready::Now,
            state => state,
        };
        if state == slot.state {
            return;
        }
        match std::mem::replace(&mut slot.state, state) {
            Ready::Now => self.ready.remove(&(slot.turn, id)),
            Ready::At(at) => self.due.remove(&(at, id)),
            Ready::Never => false,
        };
        match state {
            Ready::Now => self.ready.insert((slot.turn, id)),
            Ready::At(at) => self.due.insert((at, id)),
            Ready::Never => false,
        };
    }

    /// The slot whose turn it is.
    fn first(&self) -> Option<usize> {
        let best = |&&(turn, id): &&(u64, usize)| {
            let best = self.slot(id).and_then(|slot| slot.queue.best(self.now));
            (best.is_none(), best, turn)
        };
        let first = match self.order {
            QueueOrder::RoundRobin => self.ready.first(),
            QueueOrder::Ranked => self.ready.iter().min_by_key(best),
        };
        first.map(|(_, id)| *id)
    }

    /// Gives out what a slot has.
    fn take(&mut self, id: usize) -> Option<Work<T>> {
        let (now, is_eager) = (self.now, self.limit.is_adaptive());
        let slot = self.slots.get_mut(id).and_then(Option::as_mut)?;
        self.turns += 1;
        if slot.state == Ready::Now {
            self.ready.remove(&(slot.turn, id));
            self.ready.insert((self.turns, id));
        }
        slot.turn = self.turns;
        let taken = if is_eager { slot.queue.take_early(now) } else { slot.queue.take(now) };
        slot.in_flight += 1;
        self.in_flight += 1;
        let consumer = Arc::clone(&slot.consumer);
        self.list(id);
        Some(Work {
            slot: id,
            consumer,
            dropped: taken.dropped,
            batch: taken.batch,
            since: now,
            is_run: true,
        })
    }

    fn remove_if_done(&mut self, id: usize) -> Option<Gone<T>> {
        let place = self.slots.get_mut(id)?;
        let slot = place.take_if(|slot| slot.is_closed && slot.in_flight == 0 && slot.queue.is_empty())?;
        match slot.state {
            Ready::Now => self.ready.remove(&(slot.turn, id)),
            Ready::At(at) => self.due.remove(&(at, id)),
            Ready::Never => false,
        };
        self.free.push(id);
        Some(Gone { event: slot.gone, queue: slot.queue, consumer: slot.consumer })
    }

    fn has_room(&self) -> bool {
        self.in_flight < self.limit.now()
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whom what has changed needs. A thread that is busy needs no waking: it looks for more when it is done, and so does
    /// one that runs a batch in a thread's place.
    fn wake(&mut self) -> Option<usize> {
        let room = self.limit.now().saturating_sub(self.in_flight);
        if room == 0 {
            return None;
        }
        let due = self.next_due();
        match self.ready.len() {
            0 => self.crew.call_keeper(due?),
            ready => self.crew.call(ready.min(room), due),
        }
    }
}
