//! The map from a servable's name and version to a handle, read without waiting.
//!
//! Loading and unloading are not known here: a manager publishes a version once it is loaded and withdraws it before
//! it is unloaded; requests look up. A look-up that races with a swap finds the old version or the new one, never
//! neither, and one thread never finds a newer version and after it an older one, as long as versions only go up.
//!
//! ```
//! use std::sync::Arc;
//! use salver_core_servable::{Lookup, ServableId, Version, VersionChoice};
//! use salver_manager_serving_map::ServingMap;
//!
//! let map = ServingMap::new();
//! let id = ServableId::new("greeting", Version::new(1).unwrap());
//! let value = Arc::new("hello");
//! map.publish(id.clone(), Arc::clone(&value), || {});
//! let handle = map.get("greeting", VersionChoice::Latest).unwrap();
//! assert_eq!((*handle, handle.id()), ("hello", &id));
//! ```
//!
//! What is proved, and how: loom runs models of publishing, withdrawing, labelling and looking up through the orders
//! that two or three threads can take, handles and vacancy included (`cargo xtask loom`). A reader finds a state that
//! the map had during the call; no owner is told too early or twice; nothing is freed by a reader. In the models a
//! lock around a pointer stands in for `arc-swap`, which loom cannot look into: that its swap is one step, and settles
//! every borrow, is taken on trust, and tried by the tests with real threads.

mod labels;
mod lane;
mod map;
mod retired;
mod sync;
mod versions;

pub use labels::LabelStatus;
pub use map::ServingMap;

#[cfg(test)]
#[cfg(not(loom))]
mod tests;

#[cfg(test)]
#[cfg(loom)]
mod models;
