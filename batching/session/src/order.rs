//! Answers that leave in the order in which their requests came.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::reply::Outcome;
use crate::request::Request;

/// Holds answers back until those of earlier requests have left.
#[derive(Default)]
pub(crate) struct Order {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many places were given out.
    given: u64,
    /// The place whose answer leaves next.
    next: u64,
    /// What is there of later places; `None` where nobody waits for it.
    ready: BTreeMap<u64, Option<Ready>>,
    /// Whether a thread hands over answers: no other may then, or they would overtake each other.
    is_leaving: bool,
}

/// An answer, and the request that it keeps until it has left.
struct Ready {
    request: Arc<Request>,
    outcome: Outcome,
}

/// A request's place in the order.
#[derive(Clone)]
pub(crate) struct Place {
    order: Arc<Order>,
    number: u64,
}

impl Order {
    /// The next place.
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        let mut state = self.state.lock();
        let number = state.given;
        state.given += 1;
        Place { order: Arc::clone(self), number }
    }
}

impl Place {
    /// Lets an answer leave when its turn comes; the request's reply gets it.
    pub(crate) fn leave(&self, request: &Arc<Request>, outcome: Outcome) {
        self.fill(Some(Ready { request: Arc::clone(request), outcome }));
    }

    /// Lets nobody wait for this place.
    pub(crate) fn give_up(&self) {
        self.fill(None);
    }

    fn fill(&self, ready: Option<Ready>) {
        let mut state = self.order.state.lock();
        if self.number < state.next {
            return drop(state);
        }
        let unwanted = match state.ready.get_mut(&self.number) {
            // It was given up before, or is given up now: what is there is not wanted.
            Some(there) => (there.take(), ready),
            None => {
                state.ready.insert(self.number, ready);
                (None, None)
            }
        };
        if std::mem::replace(&mut state.is_leaving, true) {
            drop(state);
            return drop(unwanted);
        }
        loop {
            let next = state.next;
            let Some(ready) = state.ready.remove(&next) else { break };
            state.next += 1;
            drop(state);
            if let Some(Ready { request, outcome }) = ready {
                request.reply.give(outcome);
            }
            state = self.order.state.lock();
        }
        state.is_leaving = false;
        drop(state);
        drop(unwanted);
    }
}
