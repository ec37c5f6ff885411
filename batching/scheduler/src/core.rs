//! What a pool decides: whose batch runs next, on which thread, and who is woken for it.
//!
//! Nothing here waits, runs or wakes: time is an argument, and `pool` carries the decisions out.

use std::sync::Arc;
use std::time::Instant;

use salver_batching_queue::{Queue, Refused, Task};
use salver_core_status::Status;

use crate::crew::Crew;
use crate::limit::Limit;
use crate::slots::Slots;
use crate::sync::Event;
use crate::work::{Ended, Gone, Next, Ran, Wake, Work};
use crate::{Consumer, QueueOrder};

/// The queues of a pool and the threads that sleep.
pub(crate) struct Core<T: Task> {
    order: QueueOrder,
    limit: Limit,
    slots: Slots<T>,
    crew: Crew,
    /// What was given out to be run and has not ended.
    in_flight: usize,
    /// The latest time heard of.
    now: Instant,
    /// Until when the thread that rejects sleeps; `None` for until it is woken.
    rejects_at: Option<Instant>,
    is_ending: bool,
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
        let slots = Slots::new(limit.is_adaptive());
        let crew = Crew::default();
        Self { order, limit, slots, crew, in_flight: 0, now, rejects_at: None, is_ending: false }
    }

    /// Takes a queue in; returns its slot, and what tells when it is gone again.
    pub(crate) fn add(
        &mut self,
        queue: Queue<T>,
        consumer: Arc<dyn Consumer<T>>,
        can_reject: bool,
    ) -> (usize, Arc<Event>) {
        self.slots.add(queue, consumer, can_reject)
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
            && self.slots.ready() == 0
            && self.slots.due().is_none_or(|due| due > self.now)
            && self.queue(id).is_some_and(Queue::is_empty);
        let (pushed, rejecter) = self.wait(id, task);
        let may_take = is_alone && pushed.is_ok() && self.slots.is_ready(id);
        let work = if may_take { self.take(id) } else { None };
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
        let first = if self.has_room() { self.slots.first(self.order, self.now) } else { None };
        let next = match first.and_then(|id| self.take(id)) {
            Some(work) => Next::Run(work),
            // What may be ready and has no room is seen to by the threads that fill it.
            None if self.is_ending => Next::End,
            None => {
                let due = self.slots.due().filter(|_| self.has_room());
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
        if let Some(slot) = self.slots.get_mut(id) {
            slot.queue.close();
            slot.is_closed = true;
        }
        self.slots.list(id, self.now);
        let gone = self.slots.remove_if_done(id);
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
        let works = self.slots.ids().filter_map(|id| self.slots.reject(id, now)).collect();
        self.rejects_at = self.slots.rejects_at();
        (works, self.rejects_at)
    }

    /// Whether nothing will come any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ending && self.slots.is_empty()
    }

    /// The queue in a slot.
    pub(crate) fn queue(&self, id: usize) -> Option<&Queue<T>> {
        self.slots.get(id).map(|slot| &slot.queue)
    }

    /// How many batches may run at once now.
    pub(crate) fn in_flight_limit(&self) -> usize {
        self.limit.now()
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            has_room: self.has_room(),
            in_flight: self.in_flight,
            limit: self.in_flight_limit(),
            is_ready: self.slots.ready() > 0,
            due: self.slots.due(),
            rejects_at: self.slots.rejects_at(),
        }
    }

    /// Threads read the clock before they have the lock, so times may come in a wrong order.
    fn hear(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn tick(&mut self, now: Instant) {
        self.hear(now);
        self.slots.tick(self.now);
    }

    /// Returns also whether the thread that rejects sleeps for too long now.
    fn wait(&mut self, id: usize, task: T) -> (Result<(), Refused<T>>, bool) {
        let Some(slot) = self.slots.get_mut(id) else {
            let status = Status::unavailable("the batch queue is gone");
            return (Err(Refused { task, status, dropped: Vec::new() }), false);
        };
        let pushed = slot.queue.push(task, self.now);
        let rejects_at = if slot.can_reject { slot.queue.rejects_at() } else { None };
        let is_earlier = rejects_at.is_some_and(|at| self.rejects_at.is_none_or(|until| at < until));
        if is_earlier {
            self.rejects_at = rejects_at;
        }
        // Also where it was refused: tasks may have been swept out for it.
        self.slots.list(id, self.now);
        (pushed, is_earlier)
    }

    fn take(&mut self, id: usize) -> Option<Work<T>> {
        let work = self.slots.take(id, self.now)?;
        self.in_flight += 1;
        Some(work)
    }

    /// Takes in that work was done. A queue that is closed and done with is gone then.
    fn settle(&mut self, ended: &Ended) -> Option<Gone<T>> {
        let took = self.now.saturating_duration_since(ended.since);
        if ended.is_run {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if let Some(Ran { mean_wait, .. }) = ended.ran {
            self.limit.note(mean_wait + took);
        }
        if let Some(slot) = self.slots.get_mut(ended.slot) {
            slot.in_flight = slot.in_flight.saturating_sub(1);
            if let Some(Ran { padded_rows, waited, .. }) = ended.ran {
                slot.queue.ran(padded_rows, took, waited, self.now);
            }
        }
        // What was measured may change what is ready.
        self.slots.list(ended.slot, self.now);
        self.slots.remove_if_done(ended.slot)
    }

    fn has_room(&self) -> bool {
        self.in_flight < self.limit.now()
    }

    /// Whom what has changed needs. A thread that is busy needs no waking: it looks for more when it is done, and so does
    /// one that runs a batch in a thread's place.
    fn wake(&mut self) -> Option<usize> {
        let room = self.limit.now().saturating_sub(self.in_flight);
        if room == 0 {
            return None;
        }
        let due = self.slots.due();
        match self.slots.ready() {
            0 => self.crew.call_keeper(due?),
            ready => self.crew.call(ready.min(room), due),
        }
    }
}
