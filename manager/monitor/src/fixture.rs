//! Monitors that are told things, as tests need them.

use std::time::{Duration, Instant, SystemTime};

use salver_core_servable::{ServableId, ServableState, StateEvent, StateObserver, Version};
use salver_core_status::Status;

use crate::Monitor;

pub(crate) fn id(name: &str, number: i64) -> ServableId {
    ServableId::new(name, Version::new(number).unwrap())
}

/// What happened at second 0.
pub(crate) fn event(name: &str, number: i64, state: ServableState, error: Option<Status>) -> StateEvent {
    StateEvent::Version { id: id(name, number), state, error, at: SystemTime::UNIX_EPOCH }
}

pub(crate) fn tell(monitor: &Monitor, name: &str, states: &[(i64, ServableState)]) {
    for (number, state) in states {
        monitor.observe(event(name, *number, *state, None));
    }
}

pub(crate) fn fail(monitor: &Monitor, name: &str, number: i64, state: ServableState, error: &Status) {
    monitor.observe(event(name, number, state, Some(error.clone())));
}

pub(crate) fn past() -> Instant {
    Instant::now()
}

pub(crate) fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}
