//! Remembers the state of every servable version, and awaits states.
//!
//! A manager reports to a [`Monitor`]; whoever answers status requests, or waits for models at start-up, asks it. It
//! decides nothing, and remembers a bounded amount: the last few ended versions of a stream, so many streams, and the
//! last events. Who waits for states names [`Goal`]s, and blocks or is called.
//!
//! ```
//! use std::time::{Duration, Instant, SystemTime};
//! use salver_core_servable::{ServableId, ServableState, StateEvent, StateObserver, StreamName, Version};
//! use salver_manager_monitor::{Goal, Monitor};
//!
//! let monitor = Monitor::default();
//! let id = ServableId::new("digits", Version::new(1).unwrap());
//! let state = ServableState::Available;
//! monitor.observe(StateEvent::Version { id, state, error: None, at: SystemTime::now() });
//! let deadline = Instant::now() + Duration::from_secs(1);
//! let latest = Goal::Latest("digits".into());
//! let outcomes = monitor.wait_until_reached(&[latest], ServableState::Available, deadline)?;
//! assert!(outcomes.iter().all(|outcome| outcome.is_reached));
//! assert!(monitor.is_available("digits"));
//! # Ok::<(), salver_core_status::Status>(())
//! ```

#[cfg(test)]
mod fixture;
mod goals;
mod history;
mod monitor;
mod states;

pub use goals::{Goal, Outcome};
pub use history::PastEvent;
pub use monitor::{Monitor, Notice};
pub use states::{Limits, States, StreamStatus, VersionStatus};
