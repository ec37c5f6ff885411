//! Remembers the state of every servable version, and awaits states.
//!
//! A manager reports to a [`Monitor`]; whoever answers status requests, or waits for models at start-up, asks it. It
//! decides nothing, and remembers a bounded amount: the last few ended versions of a stream, and so many streams.
//!
//! ```
//! use std::time::{Duration, Instant, SystemTime};
//! use salver_core_servable::{ServableId, ServableState, StateEvent, StateObserver, StreamName, Version};
//! use salver_manager_monitor::Monitor;
//!
//! let monitor = Monitor::default();
//! let id = ServableId::new("digits", Version::new(1).unwrap());
//! let state = ServableState::Available;
//! monitor.observe(StateEvent::Version { id, state, error: None, at: SystemTime::now() });
//! let deadline = Instant::now() + Duration::from_secs(1);
//! assert!(monitor.wait_until_settled(&["digits".into()], deadline));
//! assert!(monitor.is_available("digits"));
//! ```

mod monitor;
mod states;

pub use monitor::Monitor;
pub use states::{Limits, States, StreamStatus, VersionStatus};
