//! Finds batch sizes, waits and limits from what is measured.
//!
//! Everything here is pure: what was measured goes in, with the time it was measured at, and what to do comes out.

mod cost;
mod in_flight;
mod latency;
mod returns;
#[cfg(test)]
mod simulation;

pub use cost::CostModel;
pub use in_flight::{AdaptiveOptions, InFlightLimit};
pub use latency::{LatencyTarget, LatencyTargetOptions, Limits};
