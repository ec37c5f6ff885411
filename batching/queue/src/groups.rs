//! The tasks that wait, by key.

use std::collections::HashMap;

use crate::line::Line;
use crate::task::Task;

/// So many groups that have emptied keep their memory for the next.
const SPARE: usize = 8;

/// The tasks of one key: for each level those with time left, then those that have waited too long and are run all the
/// same. A line's position is its class: the lower leaves first.
#[derive(Debug)]
pub(crate) struct Group<T: Task> {
    key: T::Key,
    pub(crate) lines: Vec<Line<T>>,
}

/// The groups in which tasks wait. One in which none does is not there: what clients send leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Groups<T: Task> {
    levels: usize,
    ids: HashMap<T::Key, usize>,
    slots: Vec<Option<Group<T>>>,
    free: Vec<usize>,
    spare: Vec<Vec<Line<T>>>,
    /// Where the last task was found to belong: often the next does too.
    last: usize,
}

/// The class of the tasks of a level that have time left; that of the others is the next.
pub(crate) fn class_of(level: usize) -> usize {
    2 * level
}

/// The level of a class.
pub(crate) fn level_of(class: usize) -> usize {
    class / 2
}

impl<T: Task> Group<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.iter().all(Line::is_empty)
    }
}

impl<T: Task> Groups<T> {
    pub(crate) fn new(levels: usize) -> Self {
        let (ids, slots, free, spare) = (HashMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { levels, ids, slots, free, spare, last: 0 }
    }

    pub(crate) fn get(&self, id: usize) -> Option<&Group<T>> {
        self.slots.get(id).and_then(Option::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: usize) -> Option<&mut Group<T>> {
        self.slots.get_mut(id).and_then(Option::as_mut)
    }

    pub(crate) fn find(&mut self, key: &T::Key) -> Option<usize> {
        if self.get(self.last).is_none_or(|group| group.key != *key) {
            self.last = *self.ids.get(key)?;
        }
        Some(self.last)
    }

    pub(crate) fn add(&mut self, key: T::Key) -> usize {
        let empty = || (0..class_of(self.levels)).map(|_| Line::new()).collect();
        let lines = self.spare.pop().unwrap_or_else(empty);
        let group = Group { key: key.clone(), lines };
        let id = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(id) {
            Some(slot) => *slot = Some(group),
            None => self.slots.push(Some(group)),
        }
        self.ids.insert(key, id);
        self.last = id;
        id
    }

    /// Lets an empty group go.
    pub(crate) fn remove(&mut self, id: usize) {
        let Some(group) = self.slots.get_mut(id).and_then(Option::take) else { return };
        self.ids.remove(&group.key);
        self.free.push(id);
        if self.spare.len() < SPARE {
            self.spare.push(group.lines);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Group<T>)> {
        self.slots.iter().enumerate().filter_map(|(id, slot)| slot.as_ref().map(|group| (id, group)))
    }

    /// Those in which tasks wait.
    pub(crate) fn ids(&self) -> Vec<usize> {
        self.iter().map(|(id, _)| id).collect()
    }

    /// How many keys there are tasks of.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}
