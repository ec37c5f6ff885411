//! Which batches may leave, and when the others may.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::Ready;

/// What is known of the first batch of a lane. A lane is what batches are formed from: the lines of one key and one level,
/// or all lines of a key where levels are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The class of the first task to leave.
    pub(crate) class: usize,
    /// When the oldest task was pushed.
    pub(crate) opened: Instant,
    /// When it may leave; `None` where it may at once.
    pub(crate) due: Option<Instant>,
}

/// Rank: the highest level first, then the oldest.
type Rank = (usize, Instant, usize);

/// All lanes in which something waits.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    ready: BTreeSet<Rank>,
    aging: BTreeSet<(Instant, usize)>,
    /// By lane: how it stands, and whether it is listed as ready.
    lanes: Vec<Option<(Standing, bool)>>,
}

impl Agenda {
    /// Lists a lane where it belongs; `None` where nothing waits in it. Cheap where nothing has changed.
    pub(crate) fn list(&mut self, lane: usize, standing: Option<Standing>) {
        if self.lanes.len() <= lane {
            if standing.is_none() {
                return;
            }
            self.lanes.resize(lane + 1, None);
        }
        let Some(place) = self.lanes.get_mut(lane) else { return };
        if place.map(|(standing, _)| standing) == standing {
            return;
        }
        let new = standing.map(|standing| (standing, standing.due.is_none()));
        match std::mem::replace(place, new) {
            Some((Standing { due: Some(due), .. }, false)) => self.aging.remove(&(due, lane)),
            Some((Standing { class, opened, .. }, _)) => self.ready.remove(&(class, opened, lane)),
            None => false,
        };
        match standing {
            Some(Standing { due: Some(due), .. }) => self.aging.insert((due, lane)),
            Some(Standing { class, opened, .. }) => self.ready.insert((class, opened, lane)),
            None => false,
        };
    }

    /// How a lane stands.
    pub(crate) fn standing(&self, lane: usize) -> Option<Standing> {
        self.lanes.get(lane).copied().flatten().map(|(standing, _)| standing)
    }

    /// When the first batch may leave.
    pub(crate) fn next(&self, now: Instant) -> Ready {
        match self.aging.first() {
            _ if !self.ready.is_empty() => Ready::Now,
            Some((due, _)) if *due <= now => Ready::Now,
            Some((due, _)) => Ready::At(*due),
            None => Ready::Never,
        }
    }

    /// The first in rank of those that may leave.
    pub(crate) fn first(&mut self, now: Instant) -> Option<usize> {
        while let Some(&(due, lane)) = self.aging.first()
            && due <= now
        {
            self.aging.pop_first();
            if let Some(Some((standing, is_ready))) = self.lanes.get_mut(lane) {
                *is_ready = true;
                self.ready.insert((standing.class, standing.opened, lane));
            }
        }
        self.ready.first().map(|(.., lane)| *lane)
    }

    /// The rank of the first of those that may leave.
    pub(crate) fn first_rank(&self, now: Instant) -> Option<Rank> {
        let aging =
            self.aging.iter().take_while(|(due, _)| *due <= now).filter_map(|(_, lane)| self.rank(*lane));
        aging.chain(self.ready.first().copied()).min()
    }

    /// The rank of the first of all, ready or not.
    pub(crate) fn first_of_all(&self) -> Option<Rank> {
        let aging = self.aging.iter().filter_map(|(_, lane)| self.rank(*lane));
        aging.chain(self.ready.first().copied()).min()
    }

    fn rank(&self, lane: usize) -> Option<Rank> {
        let (standing, _) = self.lanes.get(lane).copied().flatten()?;
        Some((standing.class, standing.opened, lane))
    }
}
