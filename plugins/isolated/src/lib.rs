//! Runs platforms in processes of their own, with tensors in shared memory.
//!
//! A platform whose code may crash, or whose libraries cannot live beside others, is kept apart: each version of a model is
//! loaded and run by a *worker*, a process that opens the same plugin and speaks with the server through sockets and shared
//! memory. A worker that ends before its time costs that one version a restart, and its callers an UNAVAILABLE.
//!
//! ```text
//! server                                             worker
//!   Isolation -> a Platform per plugin
//!   Model (supervisor thread) ---- control: load, lane, unload ----> main thread, work thread
//!     lane, lane, ...  ---- a run at a time; tensors in segments ---->   a thread per lane
//! ```
//!
//! Inputs are copied once, into a segment that the lane keeps; outputs are copied once, into a segment of the worker's, and
//! read there by whoever encodes the answer. Nothing that a worker says is trusted: sizes, places, types and counts are checked,
//! and a segment that could shrink is refused.
//!
//! The server's program runs [`work`] where it is started as a worker.

mod channel;
mod lane;
mod message;
mod model;
mod platform;
mod segment;
mod supervisor;
mod worker;

pub use platform::{Isolation, Program};
pub use worker::work;
