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
//! What is proved, and how: the count of handles is model-checked by loom in `salver-core-servable`. The pointers
//! swapped here are `arc-swap`'s, which loom cannot look into; that half is held by tests with real threads.

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
