//! The queue.

use std::fmt;
use std::mem;
use std::time::{Duration, Instant};

use salver_batching_tune::Limits;
use salver_core_status::Status;

use crate::agenda::Agenda;
use crate::expiry::{Expiry, Timer};
use crate::form::Forming;
use crate::groups::{Group, Groups, class_of, level_of};
use crate::line::{Counts, Entry, Line, Mark};
use crate::rules::Rules;
use crate::{Dropped, QueueOptions, Taken, Task, TimeoutAction};

mod admission;
#[cfg(test)]
mod probe;

/// When to take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Now.
    Now,
    /// At this time, if nothing is pushed before: a batch will have waited long enough, or a task too long.
    At(Instant),
    /// Nothing waits.
    Never,
}

/// A task that was not taken, and why.
#[derive(Debug)]
pub struct Refused<T> {
    /// The task, as it was.
    pub task: T,
    /// INVALID_ARGUMENT where it is too large, UNAVAILABLE where too much waits already or the queue is closed.
    pub status: Status,
    /// Tasks that made way in vain: they had been given up.
    pub dropped: Vec<Dropped<T>>,
}

/// Tasks that wait to be run together.
///
/// Only tasks of an equal key share a batch. Tasks of one key and level leave in the order in which they came, unless one
/// is delayed by [`TimeoutAction::Delay`](crate::TimeoutAction). Of the batches that are ready the one of the highest
/// level leaves first, then the one with the oldest task.
pub struct Queue<T: Task> {
    rules: Rules,
    groups: Groups<T>,
    agenda: Agenda,
    /// What waits, by level.
    counts: Vec<Counts>,
    /// Of the tasks that are rejected when they have waited too long.
    rejects: Expiry,
    /// Of those that are delayed then.
    delays: Expiry,
    /// Tasks that made way, not yet handed out.
    swept: Vec<Dropped<T>>,
    /// How many tasks a search for such as gave up may look at.
    looks: usize,
    pushed: u64,
    taken: u64,
}

impl<T: Task> Queue<T> {
    /// A queue in which nothing waits.
    ///
    /// # Errors
    /// Those of [`QueueOptions::check`].
    pub fn new(options: QueueOptions) -> Result<Self, Status> {
        let levels = options.levels.len();
        Ok(Self {
            rules: Rules::new(options)?,
            groups: Groups::new(levels),
            agenda: Agenda::default(),
            counts: vec![Counts::default(); levels],
            rejects: Expiry::default(),
            delays: Expiry::default(),
            swept: Vec::new(),
            looks: 0,
            pushed: 0,
            taken: 0,
        })
    }

    /// Lets a task wait. Where too much waits already, tasks that gave up make way for it: they leave with the next
    /// [`take`](Self::take) or [`reject`](Self::reject).
    ///
    /// # Errors
    /// [`Refused`], with the task.
    pub fn push(&mut self, task: T, now: Instant) -> Result<(), Refused<T>> {
        let (level, rows) = (self.rules.level_of(&task), task.size());
        let key = task.key();
        let sizes = match self.admit(&key, level, rows, now) {
            Ok(sizes) => sizes,
            Err(status) => return Err(Refused { task, status, dropped: mem::take(&mut self.swept) }),
        };
        let group = self.groups.find(&key).unwrap_or_else(|| self.groups.add(key));
        self.rules.arrived(rows, now);
        if sizes.is_empty() {
            self.append(group, level, task, now);
        } else {
            task.split(&sizes).into_iter().for_each(|part| self.append(group, level, part, now));
        }
        Ok(())
    }

    /// When to take a batch. Cheap.
    pub fn ready(&self, now: Instant) -> Ready {
        if !self.swept.is_empty() {
            return Ready::Now;
        }
        match (self.agenda.next(now), self.rejects.first()) {
            (Ready::Never, None) => Ready::Never,
            (Ready::Now, _) => Ready::Now,
            (_, Some(expires)) if expires <= now => Ready::Now,
            (Ready::At(due), Some(expires)) => Ready::At(due.min(expires)),
            (Ready::At(due), None) => Ready::At(due),
            (Ready::Never, Some(expires)) => Ready::At(expires),
        }
    }

    /// Takes the batch that is ready, if one is, and what is not to be run any more.
    pub fn take(&mut self, now: Instant) -> Taken<T> {
        self.take_if(now, false)
    }

    /// The same, where nothing holds the device back: a batch leaves of whatever waits, ready or not.
    pub fn take_early(&mut self, now: Instant) -> Taken<T> {
        self.take_if(now, true)
    }

    /// The level of the batch that [`take`](Self::take) would bring, and when its first task was pushed: what a driver
    /// ranks queues by. `None` where none is ready.
    pub fn best(&self, now: Instant) -> Option<(usize, Instant)> {
        self.agenda.first_rank(now).map(|(class, opened, _)| (level_of(class), opened))
    }

    /// When the first of the tasks that wait has waited too long for [`TimeoutAction::Reject`](crate::TimeoutAction);
    /// `None` where none can. Cheap. For a driver whose threads are all busy then: it calls [`reject`](Self::reject).
    pub fn rejects_at(&self) -> Option<Instant> {
        self.rejects.first()
    }

    /// Takes out the tasks that waited too long, or made way for others, and nothing else.
    pub fn reject(&mut self, now: Instant) -> Vec<Dropped<T>> {
        let mut dropped = mem::take(&mut self.swept);
        while let Some(timer) = self.rejects.pop(now) {
            let entry = self.edit(timer.group, |group, _| {
                group.lines.get_mut(timer.class).and_then(|line| line.remove(timer.number))
            });
            if let Some(Entry { task, .. }) = entry.flatten() {
                dropped.push(Dropped { task, status: Status::unavailable("Request timeout expired") });
            }
        }
        self.trim();
        dropped
    }

    /// Takes in how long a batch of `padded_rows` ran, whose first task had waited `waited`.
    pub fn ran(&mut self, padded_rows: usize, took: Duration, waited: Duration, now: Instant) {
        let left = self.counts.iter().map(|counts| counts.rows).sum();
        if self.rules.ran(padded_rows, took, waited, left, now) {
            self.list_all();
        }
    }

    /// The size and the wait that were found, and that batches are formed by now; `None` where they are said, by
    /// [`Tuning::Fixed`](crate::Tuning).
    pub fn limits(&self) -> Option<Limits> {
        self.rules.limits()
    }

    /// Takes no more tasks; those that wait are ready at once.
    pub fn close(&mut self) {
        self.rules.is_closed = true;
        self.list_all();
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.waiting() + self.swept.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks of one row could be pushed now, at the level of a task that says none and of keys whose batches
    /// have room. Looks at every key, and where batches left in other sizes than they were counted in, at every task.
    pub fn capacity(&self) -> usize {
        let level = self.rules.options.default_level;
        let (Some(options), Some(counts)) = (self.rules.level(level), self.counts.get(level)) else {
            return 0;
        };
        if self.rules.is_closed {
            return 0;
        }
        let limit = self.rules.limit(level);
        let (mut batches, mut rooms) = (0, 0);
        for (_, group) in self.groups.iter() {
            for (class, line) in (0..).zip(&group.lines).filter(|(class, _)| level_of(*class) == level) {
                let (least, room) = line.least_batches(limit);
                batches += least;
                rooms += if class == class_of(level) { room } else { 0 };
            }
        }
        let rows = admission::max_batches(options)
            .saturating_sub(batches)
            .saturating_mul(limit)
            .saturating_add(rooms);
        let tasks = options.policy.max_queue_size.map_or(usize::MAX, |max| max.saturating_sub(counts.tasks));
        rows.min(tasks)
    }

    /// Puts a task in its line: as [`edit`](Self::edit) would, in a fraction of the time.
    fn append(&mut self, id: usize, level: usize, task: T, now: Instant) {
        let class = class_of(level);
        let expires = self.rules.expires(level, &task, now);
        let number = self.pushed;
        self.pushed += 1;
        let mark = Mark { class, rows: task.size().max(1), pushed: now, expires, number, begins: false };
        let Some(group) = self.groups.get_mut(id) else { return };
        let Some(line) = group.lines.get_mut(class) else { return };
        let added = line.push(Entry { task, mark }, self.rules.limit(level));
        if let Some(counts) = self.counts.get_mut(level) {
            counts.add(added);
        }
        let lane = self.rules.lane_of(level);
        let listed = id * self.rules.lanes() + lane;
        let is_last = group.lines.iter().skip(class + 1).all(Line::is_empty);
        let standing = match self.agenda.standing(listed) {
            Some(before) if is_last => self.rules.standing_after(before, group, lane, class),
            _ => self.rules.standing(group, lane),
        };
        self.agenda.list(listed, standing);
        if let Some(expires) = expires {
            let timer = Timer { expires, number, group: id, class };
            let (waiting, groups) = (self.waiting(), &self.groups);
            let action = self.rules.level(level).map(|level| level.policy.timeout_action);
            let expiry = match action {
                Some(TimeoutAction::Delay) => &mut self.delays,
                _ => &mut self.rejects,
            };
            expiry.set(timer, waiting, |timer| is_live(groups, timer));
        }
    }

    fn take_if(&mut self, now: Instant, is_early: bool) -> Taken<T> {
        let mut dropped = self.reject(now);
        self.delay(now);
        let lanes = self.rules.lanes();
        let mut batch = None;
        while batch.is_none() {
            let ready = self.agenda.first(now).map(|lane| (lane, false));
            let any = || self.agenda.first_of_all().filter(|_| is_early).map(|(.., lane)| (lane, true));
            let Some((lane, is_forced)) = ready.or_else(any) else { break };
            let formed = self.edit(lane / lanes, |group, rules| {
                Forming::new(group, rules, now, &mut dropped).form(lane % lanes, is_forced)
            });
            batch = formed.flatten();
        }
        if let Some(batch) = &mut batch {
            batch.number = self.taken;
            self.taken += 1;
        }
        self.trim();
        Taken { batch, dropped }
    }

    /// Moves tasks that waited too long behind those that have time left.
    fn delay(&mut self, now: Instant) {
        while let Some(Timer { number, group, class, .. }) = self.delays.pop(now) {
            self.edit(group, |group, rules| {
                let late = group.lines.get_mut(class).and_then(|line| line.remove(number));
                let Some((mut entry, line)) = late.zip(group.lines.get_mut(class + 1)) else { return };
                entry.mark.class = class + 1;
                entry.mark.expires = None;
                line.insert(entry, rules.limit(level_of(class)));
            });
        }
    }

    /// Changes a group, and keeps everything that is known of it up to date.
    fn edit<R>(&mut self, id: usize, edit: impl FnOnce(&mut Group<T>, &Rules) -> R) -> Option<R> {
        let group = self.groups.get_mut(id)?;
        for (lines, counts) in group.lines.chunks(2).zip(&mut self.counts) {
            lines.iter().for_each(|line| counts.subtract(line.counts()));
        }
        let result = edit(group, &self.rules);
        for (lines, counts) in group.lines.chunks_mut(2).zip(&mut self.counts) {
            for line in lines {
                line.settle();
                counts.add(line.counts());
            }
        }
        let lanes = self.rules.lanes();
        for lane in 0..lanes {
            let listed = id * lanes + lane;
            self.agenda.list(listed, self.rules.standing(group, lane));
        }
        if group.is_empty() {
            self.groups.remove(id);
        }
        Some(result)
    }

    fn trim(&mut self) {
        let groups = &self.groups;
        self.rejects.trim(|timer| is_live(groups, timer));
    }

    fn list_all(&mut self) {
        for id in self.groups.ids() {
            self.edit(id, |_, _| ());
        }
    }

    fn waiting(&self) -> usize {
        self.counts.iter().map(|counts| counts.tasks).sum()
    }
}

/// Whether the task of a timer waits.
fn is_live<T: Task>(groups: &Groups<T>, timer: &Timer) -> bool {
    let line = groups.get(timer.group).and_then(|group| group.lines.get(timer.class));
    line.is_some_and(|line| line.has(timer.number))
}

impl<T: Task> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("options", &self.rules.options)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
