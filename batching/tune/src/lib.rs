//! Finds batch sizes, waits and limits from what is measured.
//!
//! Everything here is pure: what was measured goes in, with the time it was measured at, and what to do comes out.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use salver_batching_tune::{LatencyTarget, LatencyTargetOptions};
//!
//! let target = Duration::from_millis(20);
//! let options = LatencyTargetOptions { target, max_batch_size: 64, allowed_batch_sizes: Vec::new() };
//! let mut tuned = LatencyTarget::new(options)?;
//! let mut now = Instant::now();
//! for rows in [1, 2, 4, 8] {
//!     tuned.arrived(rows, now);
//!     now += Duration::from_millis(2);
//!     tuned.ran(rows, Duration::from_millis(2), Duration::ZERO, 100, now);
//! }
//! // What takes no longer with more rows is tried with more.
//! assert_eq!(tuned.limits().batch_size, 16);
//! # Ok::<(), salver_core_status::Status>(())
//! ```

mod cost;
mod in_flight;
mod latency;
mod limits;
mod returns;
#[cfg(test)]
mod simulation;

pub use cost::CostModel;
pub use in_flight::{AdaptiveOptions, InFlightLimit};
pub use latency::LatencyTarget;
pub use limits::{LatencyTargetOptions, Limits};
