//! The last events.

use std::collections::VecDeque;
use std::time::SystemTime;

use salver_core_servable::StateEvent;

/// An event that was heard of.
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// When it happened; of an event that does not say so, when it was heard of.
    pub at: SystemTime,
    /// What happened.
    pub event: StateEvent,
}

/// So many events, the last ones.
#[derive(Debug)]
pub(crate) struct History {
    limit: usize,
    events: VecDeque<PastEvent>,
}

impl History {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, events: VecDeque::new() }
    }

    /// Takes an event in, unless it only tells how far a load is: those would drive all others out.
    pub(crate) fn note(&mut self, event: &StateEvent) {
        let at = match event {
            _ if self.limit == 0 => return,
            StateEvent::Progress { .. } => return,
            StateEvent::Version { at, .. } => *at,
            StateEvent::Stream { .. } => SystemTime::now(),
        };
        if self.events.len() >= self.limit {
            self.events.pop_front();
        }
        self.events.push_back(PastEvent { at, event: event.clone() });
    }

    /// All that is remembered, oldest first.
    pub(crate) fn events(&self) -> Vec<PastEvent> {
        self.events.iter().cloned().collect()
    }
}
