//! Tasks of one key and one level, in the order of their numbers: first come, first served.
//!
//! Batches are formed when they leave. But how many may wait is counted in batches as TensorFlow Serving forms them, when
//! tasks arrive: a task that does not fit the last batch begins another. So a line marks where batches would begin. While
//! whole batches leave, the marks are exact; after anything else they still part the line into batches that are not too
//! large, perhaps into more of them than there need be, until it is counted again.

use std::collections::VecDeque;
use std::time::Instant;

use crate::task::Task;

/// A task that waits.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) task: T,
    pub(crate) mark: Mark,
}

/// What is known of a task that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// The line it is in, by its position in the group.
    pub(crate) class: usize,
    pub(crate) rows: usize,
    pub(crate) pushed: Instant,
    /// When it will have waited too long.
    pub(crate) expires: Option<Instant>,
    /// Which task of the queue it is, counted from 0.
    pub(crate) number: u64,
    /// Whether a batch begins with it.
    pub(crate) begins: bool,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) tasks: usize,
    pub(crate) rows: usize,
    pub(crate) batches: usize,
}

/// Tasks of one key and one level.
#[derive(Debug)]
pub(crate) struct Line<T> {
    entries: VecDeque<Entry<T>>,
    rows: usize,
    /// How many entries begin a batch.
    batches: usize,
    /// The rows of the last batch.
    tail_rows: usize,
    /// Whether there may be more batches than need be.
    is_loose: bool,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.rows += other.rows;
        self.batches += other.batches;
    }

    pub(crate) fn subtract(&mut self, other: Self) {
        self.tasks = self.tasks.saturating_sub(other.tasks);
        self.rows = self.rows.saturating_sub(other.rows);
        self.batches = self.batches.saturating_sub(other.batches);
    }
}

impl<T: Task> Line<T> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), rows: 0, batches: 0, tail_rows: 0, is_loose: false }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { tasks: self.entries.len(), rows: self.rows, batches: self.batches }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn front(&self) -> Option<&Entry<T>> {
        self.entries.front()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    /// How many rows the last batch, of at most `limit` rows, has room for; none where there is no batch.
    pub(crate) fn room(&self, limit: usize) -> usize {
        if self.is_empty() { 0 } else { limit.saturating_sub(self.tail_rows) }
    }

    /// Lets a task wait behind the others, in batches of at most `limit` rows. Returns what is added by it.
    pub(crate) fn push(&mut self, mut entry: Entry<T>, limit: usize) -> Counts {
        let rows = entry.mark.rows;
        entry.mark.begins = self.room(limit) < rows;
        let batches = usize::from(entry.mark.begins);
        if entry.mark.begins {
            self.batches += 1;
            self.tail_rows = 0;
        }
        self.tail_rows += rows;
        self.rows += rows;
        self.entries.push_back(entry);
        Counts { tasks: 1, rows, batches }
    }

    /// Lets a task wait where it belongs by its number.
    pub(crate) fn insert(&mut self, entry: Entry<T>, limit: usize) {
        let position = self.entries.partition_point(|other| other.mark.number < entry.mark.number);
        if position == self.entries.len() {
            self.push(entry, limit);
            return;
        }
        self.rows += entry.mark.rows;
        self.entries.insert(position, entry);
        self.is_loose = true;
        self.recount(limit);
    }

    /// Takes the first task. [`settle`](Self::settle) is called when enough are taken.
    pub(crate) fn pop(&mut self) -> Option<Entry<T>> {
        let entry = self.entries.pop_front()?;
        self.rows -= entry.mark.rows;
        self.batches -= usize::from(entry.mark.begins);
        if self.batches == 0 {
            self.tail_rows -= entry.mark.rows;
        }
        Some(entry)
    }

    /// Undoes [`pop`](Self::pop).
    pub(crate) fn put_back(&mut self, entry: Entry<T>) {
        self.rows += entry.mark.rows;
        if self.batches == 0 {
            self.tail_rows += entry.mark.rows;
        }
        self.batches += usize::from(entry.mark.begins);
        self.entries.push_front(entry);
    }

    /// Takes the first task for good, as if it had never come: what is behind it stays in its batch.
    pub(crate) fn drop_front(&mut self) -> Option<Entry<T>> {
        let entry = self.pop()?;
        if entry.mark.begins
            && let Some(next) = self.entries.front_mut()
            && !next.mark.begins
        {
            next.mark.begins = true;
            self.batches += 1;
        }
        self.is_loose |= !self.is_empty();
        Some(entry)
    }

    /// What is left of a batch that was begun to be taken counts as one.
    pub(crate) fn settle(&mut self) {
        match self.entries.front_mut() {
            Some(front) if !front.mark.begins => {
                front.mark.begins = true;
                self.batches += 1;
                self.is_loose = true;
            }
            Some(_) => {}
            None => self.is_loose = false,
        }
    }

    /// Whether the task of this number waits here.
    pub(crate) fn has(&self, number: u64) -> bool {
        let is_gone = self.front().is_none_or(|front| front.mark.number > number);
        !is_gone && self.position(number).is_some()
    }

    /// Takes out the task of this number.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Entry<T>> {
        let position = self.position(number)?;
        if position == 0 {
            return self.drop_front();
        }
        let entry = self.entries.remove(position)?;
        self.rows -= entry.mark.rows;
        if entry.mark.begins {
            match self.entries.get_mut(position) {
                Some(next) if !next.mark.begins => next.mark.begins = true,
                _ => self.batches -= 1,
            }
        }
        self.tail_rows = 0;
        for entry in self.entries.iter().rev() {
            self.tail_rows += entry.mark.rows;
            if entry.mark.begins {
                break;
            }
        }
        self.is_loose = true;
        Some(entry)
    }

    /// Takes out all tasks that `is_out` says.
    pub(crate) fn sweep(&mut self, mut is_out: impl FnMut(&T) -> bool, limit: usize) -> Vec<Entry<T>> {
        let mut out = Vec::new();
        if self.entries.iter().any(|entry| is_out(&entry.task)) {
            for entry in std::mem::take(&mut self.entries) {
                if is_out(&entry.task) {
                    self.rows -= entry.mark.rows;
                    out.push(entry);
                } else {
                    self.entries.push_back(entry);
                }
            }
            self.is_loose = true;
            self.recount(limit);
        }
        out
    }

    /// Parts the line into as few batches as need be.
    pub(crate) fn recount(&mut self, limit: usize) {
        if !self.is_loose {
            return;
        }
        (self.batches, self.tail_rows, self.is_loose) = (0, 0, false);
        for Entry { mark, .. } in &mut self.entries {
            mark.begins = self.batches == 0 || limit.saturating_sub(self.tail_rows) < mark.rows;
            if mark.begins {
                self.batches += 1;
                self.tail_rows = 0;
            }
            self.tail_rows += mark.rows;
        }
    }

    /// How many batches there need be, and how many rows the last has room for.
    pub(crate) fn least_batches(&self, limit: usize) -> (usize, usize) {
        if !self.is_loose {
            return (self.batches, self.room(limit));
        }
        self.count(limit)
    }

    fn count(&self, limit: usize) -> (usize, usize) {
        self.entries.iter().fold((0, 0), |(batches, room), entry| match entry.mark.rows {
            rows if rows <= room => (batches, room - rows),
            rows => (batches + 1, limit.saturating_sub(rows)),
        })
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.mark.number).ok()
    }
}

#[cfg(test)]
impl<T: Task> Line<T> {
    /// Whether what is known of the entries is so.
    pub(crate) fn check_consistency(&self, limit: usize) {
        let (mut rows, mut batches, mut tail_rows) = (0, 0, 0);
        for Entry { mark, .. } in &self.entries {
            assert!(batches > 0 || mark.begins, "no batch begins with the first task");
            tail_rows = if mark.begins { 0 } else { tail_rows };
            batches += usize::from(mark.begins);
            tail_rows += mark.rows;
            rows += mark.rows;
            assert!(tail_rows <= limit, "a batch is too large");
        }
        assert_eq!((self.rows, self.batches), (rows, batches));
        assert!(self.is_empty() || self.tail_rows == tail_rows);
        let least = self.count(limit);
        assert!(least.0 <= batches);
        assert!(self.is_loose || least == (batches, self.room(limit)), "more batches than need be");
    }
}
