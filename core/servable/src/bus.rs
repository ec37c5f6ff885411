//! One stream of events for any number of subscribers.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::{StateEvent, StateObserver};

/// Passes every event on to its subscribers, one event at a time and in one order for all.
///
/// Publish by [`observe`](StateObserver::observe), from any thread. The publisher's thread delivers, and no lock is
/// held meanwhile: a subscriber may publish, subscribe and drop subscriptions. What is published while a delivery is
/// under way, by a subscriber or on another thread, is queued, and whoever is delivering delivers it: when `observe`
/// returns, every subscriber was told, or another call is at it. The queue has no limit; subscribers return at once.
///
/// A subscriber is told of what is published after it subscribed, and of nothing before. One that panics is told of
/// the next event all the same, and so are the others of this one; the panic hook has the last word on the panic.
pub struct EventBus {
    state: Mutex<State>,
}

/// Keeps a subscriber subscribed.
///
/// Once it is dropped the subscriber is told of nothing more, but for this: a call that another thread has begun, or is
/// just about to make, may still be running afterwards. There is at most one. Dropping it never blocks, and may be
/// done by the subscriber itself.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription(Arc<Seat>);

struct State {
    /// Replaced rather than changed, so that each event keeps those who were there when it was published.
    audience: Audience,
    queue: VecDeque<(StateEvent, Audience)>,
    is_delivering: bool,
}

type Audience = Arc<[Arc<Seat>]>;

/// Where a subscriber sits; empty when its subscription is over.
struct Seat(Mutex<Option<Arc<dyn StateObserver>>>);

impl EventBus {
    /// A bus without subscribers.
    pub fn new() -> Self {
        let state = State { audience: Arc::new([]), queue: VecDeque::new(), is_delivering: false };
        Self { state: Mutex::new(state) }
    }

    /// Tells `subscriber` of every event from now on, until the subscription is dropped. It may outlive the bus.
    pub fn subscribe(&self, subscriber: Arc<dyn StateObserver>) -> Subscription {
        let seat = Arc::new(Seat(Mutex::new(Some(subscriber))));
        let mut state = self.lock();
        let taken = state.audience.iter().filter(|seat| !seat.is_empty()).cloned();
        state.audience = taken.chain([Arc::clone(&seat)]).collect();
        Subscription(seat)
    }

    /// The next event to be delivered; `None` ends the delivery.
    fn next(&self) -> Option<(StateEvent, Audience)> {
        let mut state = self.lock();
        let next = state.queue.pop_front();
        state.is_delivering = next.is_some();
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateObserver for EventBus {
    fn observe(&self, event: StateEvent) {
        let mut state = self.lock();
        let audience = Arc::clone(&state.audience);
        state.queue.push_back((event, audience));
        if mem::replace(&mut state.is_delivering, true) {
            return;
        }
        drop(state);
        while let Some((event, audience)) = self.next() {
            audience.iter().for_each(|seat| seat.tell(&event));
        }
    }
}

impl Default for EventBus {
    fn default() -> Self {
        Self::new()
    }
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<dyn StateObserver>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    fn tell(&self, event: &StateEvent) {
        let Some(subscriber) = self.lock().clone() else {
            return;
        };
        // The subscriber may be freed here, if its subscription was dropped meanwhile: that may panic too.
        let told = catch_unwind(AssertUnwindSafe(move || subscriber.observe(event.clone())));
        // Reported by the panic hook. The payload is the subscriber's; let it not panic a second time.
        told.unwrap_or_else(mem::forget);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Freed outside the lock: the subscriber may own what waits for it.
        let subscriber = self.0.lock().take();
        drop(subscriber);
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus").finish_non_exhaustive()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
