//! Runs a model for many requests at once: groups, joins, runs and splits.
//!
//! A [`Session`] stands before a [`Model`](salver_core_platform::Model) and is called like one, by many; what it answers
//! is what the model would have answered to each alone. It has one queue for each signature that can be batched, in the
//! pool that its options name.

mod batcher;
mod checks;
mod context;
mod front;
mod group;
mod instruments;
mod names;
mod order;
mod pools;
mod reply;
mod request;
mod session;
mod signature;
mod status;

pub use batcher::SubBatcher;
pub use pools::Pools;
pub use request::SessionTask;
pub use session::{Call, NotBatched, Session};
pub use status::{BatchingStatus, SignatureStatus};
