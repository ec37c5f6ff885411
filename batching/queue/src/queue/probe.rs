//! What tests see of a queue.

use super::Queue;
use crate::groups::level_of;
use crate::line::Counts;
use crate::{QueueOptions, Task};

impl<T: Task> Queue<T> {
    pub(crate) fn options(&self) -> &QueueOptions {
        &self.rules.options
    }

    /// How many tasks a search for such as gave up may look at.
    pub(crate) fn looks(&self) -> usize {
        self.looks
    }

    /// How many timers there are, of tasks that wait or not.
    pub(crate) fn timers(&self) -> usize {
        self.rejects.len() + self.delays.len()
    }

    /// Whether what is known of `keys` groups is so.
    pub(crate) fn check_consistency(&self, keys: usize) {
        assert_eq!(self.groups.len(), keys, "an empty group stayed");
        let mut counts = vec![Counts::default(); self.counts.len()];
        for (id, group) in self.groups.iter() {
            for (class, line) in group.lines.iter().enumerate() {
                line.check_consistency(self.rules.limit(level_of(class)));
                counts[level_of(class)].add(line.counts());
            }
            let lanes = self.rules.lanes();
            for lane in 0..lanes {
                let standing = self.rules.standing(group, lane);
                assert_eq!(
                    self.agenda.standing(id * lanes + lane),
                    standing,
                    "a lane is listed where it is not"
                );
            }
        }
        assert_eq!(self.counts, counts);
    }
}
