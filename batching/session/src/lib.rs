//! Runs a model for many requests at once: groups, joins, runs and splits.
//!
//! A [`Session`] stands before a [`Model`](salver_core_platform::Model) and is called like one, by many; what it answers
//! is what the model would have answered to each alone. It has one queue for each signature that can be batched, in the
//! pool that its options name.

mod batcher;
mod pools;
mod session;

pub use batcher::SubBatcher;
pub use pools::Pools;
pub use session::{Call, NotBatched, Session, SessionTask};
