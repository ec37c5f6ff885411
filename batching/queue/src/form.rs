//! How a batch is made of the tasks that wait.

use std::time::{Duration, Instant};

use salver_core_status::Status;

use crate::groups::{Group, class_of, level_of};
use crate::line::{Entry, Mark};
use crate::rules::Rules;
use crate::{Batch, Dropped, GivenUp, Task};

/// A batch that is being made. What is not to be run any more is taken out on the way.
pub(crate) struct Forming<'a, T: Task> {
    group: &'a mut Group<T>,
    rules: &'a Rules,
    now: Instant,
    dropped: &'a mut Vec<Dropped<T>>,
    tasks: Vec<T>,
    /// Those of `tasks`, in order.
    marks: Vec<Mark>,
    rows: usize,
}

impl<'a, T: Task> Forming<'a, T> {
    pub(crate) fn new(
        group: &'a mut Group<T>,
        rules: &'a Rules,
        now: Instant,
        dropped: &'a mut Vec<Dropped<T>>,
    ) -> Self {
        Self { group, rules, now, dropped, tasks: Vec::new(), marks: Vec::new(), rows: 0 }
    }

    /// The batch that may leave a lane now. `None`, and everybody waits on, where none may once those are gone that gave
    /// up. With `is_forced` one may whenever there is a task.
    pub(crate) fn form(mut self, lane: usize, is_forced: bool) -> Option<Batch<T>> {
        let is_full = self.draw_lane(lane);
        let level = level_of(self.marks.first()?.class);
        let preferred = self.prefix(|rows| self.rules.is_preferred(level, rows));
        let leaves = is_forced || self.rules.is_closed || (is_full && preferred.is_none()) || self.is_due();
        match preferred {
            _ if leaves => self.fill(level),
            Some(tasks) => self.keep(tasks),
            None => {
                self.keep(0);
                return None;
            }
        }
        if let Some(size) = self.rules.cut(level, self.rows)
            && let Some(tasks) = self.prefix(|rows| rows == size)
        {
            self.keep(tasks);
        }
        Some(self.finish(level))
    }

    /// Draws as many tasks of a lane as fit. Returns whether the batch is full.
    fn draw_lane(&mut self, lane: usize) -> bool {
        let mut full = usize::MAX;
        for class in self.rules.classes(lane) {
            if self.tasks.is_empty() {
                // The highest level that a task is of decides.
                full = self.rules.full(level_of(class));
            }
            if !self.draw(class, full) {
                return true;
            }
        }
        self.rows >= full
    }

    /// Fills a batch up with tasks of lower levels.
    fn fill(&mut self, level: usize) {
        if let Some(rows) = self.rules.filled(level, self.rows) {
            let lower = class_of(level + 1)..self.group.lines.len();
            for class in lower {
                if !self.draw(class, rows) {
                    break;
                }
            }
        }
    }

    /// Draws tasks from a line until one does not fit into `full` rows; the first always does. Returns false where there
    /// was one.
    fn draw(&mut self, class: usize, full: usize) -> bool {
        let Some(line) = self.group.lines.get_mut(class) else { return true };
        if self.tasks.is_empty() {
            let expected = line.counts().tasks.min(full);
            self.tasks.reserve(expected);
            self.marks.reserve(expected);
        }
        while let Some(Entry { task, mark }) = line.front() {
            if !self.tasks.is_empty() && self.rows >= full {
                return false;
            }
            if let Some(reason) = task.given_up(self.now) {
                let entry = line.drop_front();
                self.dropped.extend(entry.map(|entry| given_up(entry.task, reason)));
                continue;
            }
            if !self.tasks.is_empty() && self.rows.saturating_add(mark.rows) > full {
                return false;
            }
            if let Some(Entry { task, mark }) = line.pop() {
                self.rows += mark.rows;
                self.tasks.push(task);
                self.marks.push(mark);
            }
        }
        true
    }

    /// Whether one of the tasks has waited long enough.
    fn is_due(&self) -> bool {
        self.marks.iter().any(|mark| self.rules.is_due(mark, self.now))
    }

    /// How many tasks make up the most rows that are `wanted`.
    fn prefix(&self, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let mut rows = self.rows;
        let mut tasks = self.marks.len();
        for mark in self.marks.iter().rev() {
            if wanted(rows) {
                return Some(tasks);
            }
            rows -= mark.rows;
            tasks -= 1;
        }
        None
    }

    /// Puts back all but the first tasks.
    fn keep(&mut self, tasks: usize) {
        let back = self.tasks.drain(tasks..).zip(self.marks.drain(tasks..));
        for (task, mark) in back.rev() {
            self.rows -= mark.rows;
            if let Some(line) = self.group.lines.get_mut(mark.class) {
                line.put_back(Entry { task, mark });
            }
        }
    }

    fn finish(self, level: usize) -> Batch<T> {
        let waited: Duration =
            self.marks.iter().map(|mark| self.now.saturating_duration_since(mark.pushed)).sum();
        let opened = self.marks.iter().map(|mark| mark.pushed).min().unwrap_or(self.now);
        Batch {
            padded_rows: self.rules.padded(level, self.rows),
            tasks: self.tasks,
            rows: self.rows,
            number: 0,
            opened,
            waited,
        }
    }
}

/// A task that need not be run any more.
pub(crate) fn given_up<T>(task: T, reason: GivenUp) -> Dropped<T> {
    let status = match reason {
        GivenUp::Cancelled => Status::cancelled("the task was cancelled while it waited for a batch"),
        GivenUp::Expired => {
            Status::deadline_exceeded("the deadline passed while the task waited for a batch")
        }
    };
    Dropped { task, status }
}
