//! Whether a task may wait.

use std::time::Instant;

use salver_core_status::Status;

use super::Queue;
use crate::form::given_up;
use crate::groups::{Group, class_of};
use crate::line::{Entry, Line};
use crate::{GivenUp, Level, Task};

impl<T: Task> Queue<T> {
    /// Whether a task may wait, and the sizes it is split into for it; none where it is not.
    pub(super) fn admit(
        &mut self,
        key: &T::Key,
        level: usize,
        rows: usize,
        now: Instant,
    ) -> Result<Vec<usize>, Status> {
        const LOOKS: usize = 16;
        if self.rules.is_closed {
            return Err(Status::unavailable("the batch queue takes no more tasks: it is closed"));
        }
        let most = self.rules.level(level).map_or(0, |level| level.max_batch_size);
        if rows > most {
            let message = format!("Task size {rows} is larger than maximum input batch size {most}");
            return Err(Status::invalid_argument(message));
        }
        if rows == 0 {
            return Err(Status::invalid_argument("task size is 0, 1 or more was wanted"));
        }
        self.looks = self.looks.saturating_add(LOOKS);
        let fit = self.fit(key, level, rows).or_else(|_| {
            self.recount(level);
            self.fit(key, level, rows)
        });
        // Looking for tasks that gave up takes time while everybody waits: so what is looked at is in proportion to what
        // was pushed.
        let waiting = self.counts.get(level).map_or(0, |counts| counts.tasks);
        if fit.is_ok() || self.looks < waiting {
            return fit;
        }
        self.looks -= waiting;
        self.sweep(level, now);
        self.fit(key, level, rows)
    }

    /// The same, for a task that is not too large, as things are.
    fn fit(&mut self, key: &T::Key, level: usize, rows: usize) -> Result<Vec<usize>, Status> {
        let line = self.groups.find(key).and_then(|id| self.groups.get(id)?.lines.get(class_of(level)));
        let limit = self.rules.limit(level);
        let room = line.map_or(0, |line| line.room(limit));
        let counts = self.counts.get(level).copied().unwrap_or_default();
        let beyond = rows.saturating_sub(room);
        let is_split =
            self.rules.options.enable_large_batch_splitting && beyond > 0 && (room > 0 || rows > limit);
        let beyond = if is_split { beyond } else { rows };
        let sizes = if is_split { split(room, beyond, limit) } else { Vec::new() };
        let batches = if rows <= room { 0 } else { beyond.div_ceil(limit) };
        let options = self.rules.level(level);
        if let Some(max) = options.and_then(|level| level.policy.max_queue_size)
            && counts.tasks + sizes.len().max(1) > max
        {
            return Err(Status::unavailable("Exceeds maximum queue size"));
        }
        if counts.batches.saturating_add(batches) > options.map_or(0, max_batches) {
            let message = "The batch scheduling queue to which this task was submitted is full";
            return Err(Status::unavailable(message));
        }
        Ok(sizes)
    }

    /// Takes out what need not be run any more.
    fn sweep(&mut self, level: usize, now: Instant) {
        self.swept = self.reject(now);
        for id in self.groups.ids() {
            let entries = self.edit(id, |group, rules| {
                let limit = rules.limit(level);
                let lines = lines_of(group, level);
                lines
                    .flat_map(|line| line.sweep(|task| task.given_up(now).is_some(), limit))
                    .collect::<Vec<_>>()
            });
            for Entry { task, .. } in entries.into_iter().flatten() {
                let reason = task.given_up(now).unwrap_or(GivenUp::Cancelled);
                self.swept.push(given_up(task, reason));
            }
        }
        self.trim();
    }

    /// Counts the batches of a level anew.
    fn recount(&mut self, level: usize) {
        for id in self.groups.ids() {
            self.edit(id, |group, rules| {
                lines_of(group, level).for_each(|line| line.recount(rules.limit(level)));
            });
        }
    }
}

/// One at least, as in TensorFlow Serving.
pub(super) fn max_batches(level: &Level) -> usize {
    level.max_enqueued_batches.max(1)
}

/// The lines of a level.
fn lines_of<T: Task>(group: &mut Group<T>, level: usize) -> impl Iterator<Item = &mut Line<T>> {
    group.lines.iter_mut().skip(class_of(level)).take(2)
}

/// The sizes of the parts of a task: what the open batch has room for, full batches, and the rest.
fn split(room: usize, mut beyond: usize, limit: usize) -> Vec<usize> {
    let mut sizes = Vec::with_capacity(1 + beyond.div_ceil(limit));
    if room > 0 {
        sizes.push(room);
    }
    while beyond > 0 {
        sizes.push(beyond.min(limit));
        beyond -= beyond.min(limit);
    }
    sizes
}
