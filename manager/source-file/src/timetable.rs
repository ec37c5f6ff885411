//! When to look at which place, as a pure function of time and of what happened.
//!
//! A look may hang, on a network file system whose server is gone. So looks go on side by side, and one that takes
//! long stops counting as one of the few that may; only in the same repository, where others would hang likewise, it
//! counts on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A model or repository that is looked at. Never used again for another.
pub(crate) type PlaceId = u64;

/// How many looks go on at once, of those that are not slow; and how many at most in one repository.
const WIDTH: usize = 4;

/// How many looks go on at once, slow ones among them.
pub(crate) const MOST: usize = 64;

/// How long a look takes at most that is not slow.
const SLOW: Duration = Duration::from_secs(1);

/// How long a look takes at most that is not stuck.
pub(crate) const STUCK: Duration = Duration::from_secs(5);

/// From a change to the look at it: changes come in flocks.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// After a look there is a pause of so many times its length before changes lead to the next one, so that looking at
/// a large model while it is copied takes a small part of a CPU.
const PAUSE: u32 = 9;

/// Which places there are, and when each is due.
#[derive(Debug, Default)]
pub(crate) struct Timetable {
    places: BTreeMap<PlaceId, Entry>,
    /// Those that are not being looked at and are due some time.
    queue: BTreeSet<(Instant, PlaceId)>,
    /// Those that are being looked at, and those that were when they were removed.
    under_way: BTreeSet<PlaceId>,
}

#[derive(Debug)]
struct Entry {
    /// The repository it is in, or itself.
    home: PlaceId,
    /// When it is to be looked at in any case.
    due: Option<Instant>,
    /// The first change since the last look began.
    changed: Option<Instant>,
    /// Until when changes do not matter: see [`PAUSE`].
    pause_until: Option<Instant>,
    /// Since when it is being looked at.
    since: Option<Instant>,
    is_stuck: bool,
}

impl Timetable {
    /// Adds a place, due at once.
    pub(crate) fn add(&mut self, place: PlaceId, home: PlaceId, now: Instant) {
        let entry =
            Entry { home, due: Some(now), changed: None, pause_until: None, since: None, is_stuck: false };
        self.places.insert(place, entry);
        self.queue.insert((now, place));
    }

    /// Forgets a place. A look at it that is under way goes on, and counts as a slow one.
    pub(crate) fn remove(&mut self, place: PlaceId) {
        if let Some(entry) = self.places.remove(&place) {
            entry.next().map(|at| self.queue.remove(&(at, place)));
        }
    }

    /// Has a place looked at by `at`, whatever else is planned. That a look at it is stuck is told of once more.
    pub(crate) fn wake(&mut self, place: PlaceId, at: Instant) {
        self.edit(place, |entry| {
            entry.due = Some(entry.due.map_or(at, |due| due.min(at)));
            entry.is_stuck = false;
        });
    }

    /// Takes in that something changed at a place.
    pub(crate) fn changed(&mut self, place: PlaceId, now: Instant) {
        self.edit(place, |entry| entry.changed = Some(entry.changed.unwrap_or(now)));
    }

    /// Takes in that a look is over, and when the next is planned. False: the place was removed meanwhile.
    pub(crate) fn finish(&mut self, place: PlaceId, ended: Instant, next: Option<Instant>) -> bool {
        self.under_way.remove(&place);
        self.edit(place, |entry| {
            let took = entry.since.take().map(|since| ended.saturating_duration_since(since));
            entry.is_stuck = false;
            entry.pause_until = took.and_then(|took| ended.checked_add(took.saturating_mul(PAUSE)));
            entry.due = entry.due.into_iter().chain(next).min();
        });
        self.places.contains_key(&place)
    }

    /// The next place to look at now; it then counts as being looked at until [`finish`](Self::finish).
    pub(crate) fn start(&mut self, now: Instant) -> Option<PlaceId> {
        let place = self.first(now).filter(|(due, _)| *due <= now)?.1;
        self.edit(place, |entry| {
            (entry.due, entry.changed, entry.since) = (None, None, Some(now));
        });
        self.under_way.insert(place);
        Some(place)
    }

    /// The places whose looks have been found stuck since this was asked last.
    pub(crate) fn newly_stuck(&mut self, now: Instant) -> Vec<PlaceId> {
        let is_newly_stuck = |place: &PlaceId| {
            let entry = self.places.get(place);
            entry.is_some_and(|entry| !entry.is_stuck && entry.has_taken(STUCK, now))
        };
        let stuck: Vec<_> = self.under_way.iter().copied().filter(is_newly_stuck).collect();
        for place in &stuck {
            self.edit(*place, |entry| entry.is_stuck = true);
        }
        stuck
    }

    /// When there is something to do again, if nothing happens before.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let entries = self.under_way.iter().filter_map(|place| self.places.get(place));
        let limits = entries.flat_map(|entry| [entry.reaches(SLOW), entry.reaches(STUCK)]);
        let ahead = limits.flatten().filter(|at| *at > now).min();
        ahead.into_iter().chain(self.first(now).map(|(due, _)| due)).min()
    }

    /// The first place in the queue that may be looked at when it is due.
    fn first(&self, now: Instant) -> Option<(Instant, PlaceId)> {
        let is_quick =
            |place: &&PlaceId| self.places.get(place).is_some_and(|entry| !entry.has_taken(SLOW, now));
        if self.under_way.len() >= MOST || self.under_way.iter().filter(is_quick).count() >= WIDTH {
            return None;
        }
        let home = |place: &PlaceId| self.places.get(place).map(|entry| entry.home);
        let has_room = |place: &PlaceId| {
            let neighbours = self.under_way.iter().filter(|other| home(other) == home(place));
            neighbours.count() < WIDTH
        };
        self.queue.iter().copied().find(|(_, place)| has_room(place))
    }

    /// Changes an entry, and its place in the queue.
    fn edit(&mut self, place: PlaceId, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.places.get_mut(&place) else { return };
        entry.next().map(|at| self.queue.remove(&(at, place)));
        change(entry);
        entry.next().map(|at| self.queue.insert((at, place)));
    }
}

impl Entry {
    /// When to look at it; `None` while that is done, and where nothing is planned.
    fn next(&self) -> Option<Instant> {
        if self.since.is_some() {
            return None;
        }
        let heeded = self.changed.and_then(|changed| changed.checked_add(DEBOUNCE));
        let heeded = heeded.map(|at| self.pause_until.map_or(at, |until| at.max(until)));
        self.due.into_iter().chain(heeded).min()
    }

    /// When the look at it will have taken so long.
    fn reaches(&self, limit: Duration) -> Option<Instant> {
        self.since?.checked_add(limit)
    }

    fn has_taken(&self, limit: Duration, now: Instant) -> bool {
        self.reaches(limit).is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A table of named models 1 to `count`, all due at the moment returned.
    fn table(count: u64) -> (Timetable, Instant) {
        let (mut table, now) = (Timetable::default(), Instant::now());
        (1..=count).for_each(|place| table.add(place, place, now));
        (table, now)
    }

    fn started(table: &mut Timetable, now: Instant) -> Vec<PlaceId> {
        std::iter::from_fn(|| table.start(now)).collect()
    }

    #[test]
    fn a_place_is_looked_at_when_it_is_due_and_again_when_it_is_due_again() {
        let (mut table, now) = table(1);
        assert_eq!(started(&mut table, now), [1]);
        assert!(table.finish(1, now, Some(now + 1000 * MS)));
        assert_eq!(table.next(now), Some(now + 1000 * MS));
        assert_eq!(started(&mut table, now + 999 * MS), [0; 0]);
        assert_eq!(started(&mut table, now + 1000 * MS), [1]);
        assert!(table.finish(1, now, None));
        assert_eq!(table.next(now), None, "nothing is planned");
    }

    #[test]
    fn changes_lead_to_one_look_soon_after_the_first_of_them() {
        let (mut table, now) = table(1);
        started(&mut table, now);
        table.finish(1, now, Some(now + 1000 * MS));
        (100..120).for_each(|at| table.changed(1, now + at * MS));
        assert_eq!(table.next(now), Some(now + 120 * MS));
        assert_eq!(started(&mut table, now + 120 * MS), [1]);
        table.finish(1, now + 120 * MS, None);
        assert_eq!(table.next(now), None);
    }

    #[test]
    fn a_change_during_a_look_leads_to_another_after_a_pause_that_keeps_looking_cheap() {
        let (mut table, now) = table(1);
        started(&mut table, now);
        table.changed(1, now + 10 * MS);
        table.finish(1, now + 100 * MS, Some(now + 5000 * MS));
        assert_eq!(table.next(now), Some(now + 1000 * MS));
    }

    #[test]
    fn slow_looks_do_not_keep_others_waiting_for_long() {
        let (mut table, now) = table(6);
        assert_eq!(started(&mut table, now), [1, 2, 3, 4]);
        table.finish(2, now, None);
        assert_eq!(started(&mut table, now), [5]);
        assert_eq!(table.next(now), Some(now + SLOW));
        assert_eq!(started(&mut table, now + SLOW), [6]);
    }

    #[test]
    fn a_repository_that_hangs_takes_no_more_than_its_share() {
        let (mut table, now) = table(1);
        (10..20).for_each(|place| table.add(place, 1, now));
        table.add(30, 30, now);
        assert_eq!(started(&mut table, now), [1, 10, 11, 12]);
        assert_eq!(started(&mut table, now + SLOW), [30]);
        assert_eq!(started(&mut table, now + 100 * SLOW), [0; 0]);
        table.finish(11, now + 100 * SLOW, None);
        assert_eq!(started(&mut table, now + 100 * SLOW), [13]);
    }

    #[test]
    fn there_are_never_more_than_so_many_looks_under_way() {
        let (mut table, now) = table(100);
        let all: Vec<_> = (0..100).flat_map(|second| started(&mut table, now + second * SLOW)).collect();
        assert_eq!(all.len(), MOST);
        assert_eq!(table.next(now + 200 * SLOW), None);
    }

    #[test]
    fn a_look_that_is_stuck_is_told_of_once() {
        let (mut table, now) = table(1);
        started(&mut table, now);
        assert_eq!(table.newly_stuck(now + STUCK - MS), [0; 0]);
        assert_eq!(table.next(now + STUCK - MS), Some(now + STUCK));
        assert_eq!(table.newly_stuck(now + STUCK), [1]);
        assert_eq!(table.newly_stuck(now + 2 * STUCK), [0; 0]);
        table.finish(1, now + 3 * STUCK, Some(now + 3 * STUCK));
        started(&mut table, now + 3 * STUCK);
        assert_eq!(table.newly_stuck(now + 4 * STUCK), [1], "the next look");
    }

    #[test]
    fn what_is_removed_is_looked_at_no_more() {
        let (mut table, now) = table(2);
        assert_eq!(table.start(now), Some(1));
        table.remove(1);
        table.remove(2);
        assert!(!table.finish(1, now, Some(now)));
        table.changed(2, now);
        table.wake(2, now);
        assert_eq!((table.start(now), table.next(now)), (None, None));
    }
}
