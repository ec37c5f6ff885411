//! Names, versions and states of servables, and the handles that keep a version alive while it is in use.
//!
//! A *servable* is the black box that answers requests. A *servable stream* is all versions of one name. What a
//! servable is made of is not known here: a [`Handle`] is generic over it. Where a version stands is told as a
//! [`StateEvent`] to a [`StateObserver`]; an [`EventBus`] is one that passes the news on to many.

mod bus;
mod handle;
mod id;
mod pocket;
mod request;
mod state;
mod sync;

pub use bus::{EventBus, Subscription};
pub use handle::{Handle, Tenancy};
pub use id::{ServableId, StreamName, Version};
pub use pocket::{HasPocket, Pocket};
pub use request::{Lookup, LookupError, VersionChoice};
pub use state::{LoadProgress, LoadTimings, Phase, ServableState, StateEvent, StateObserver};
