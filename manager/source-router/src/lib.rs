//! Sends each stream to one of several targets.
//!
//! A router is a target that passes on what it is told: to the target behind the *port* that its [`Route`] names, or to
//! none. [`StaticRouter`] looks for parts of names, [`DynamicRouter`] knows names one by one and can be told others
//! while it runs. What all of them keep to:
//!
//! - A stream is behind one port at a time. When it moves, the old port is told an empty set first, else it would serve
//!   the stream for ever; then the new port is told the full set. In this order, so that two ports that lead to the same
//!   manager end with what the new one was told; such a manager may unload and load anew in between.
//! - An empty set goes where the stream is, and the stream is then nowhere.
//! - Trouble of a source goes where the stream is; it moves nothing. Of a stream that is nowhere it is routed.
//! - What goes to no port is counted, and said in the log once.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use salver_core_loader::{AspiredVersions, Target};
//! use salver_manager_source_router::StaticRouter;
//!
//! #[derive(Default)]
//! struct Names(Mutex<Vec<String>>);
//!
//! impl Target<u32> for Names {
//!     fn set_aspired(&self, aspired: AspiredVersions<u32>) {
//!         self.0.lock().unwrap().push(aspired.stream.as_str().to_owned());
//!     }
//! }
//!
//! let (images, others) = (Arc::new(Names::default()), Arc::new(Names::default()));
//! let router = StaticRouter::new(vec!["image".into()], vec![images.clone(), others.clone()]).unwrap();
//! for name in ["image-classes", "sentiment"] {
//!     router.set_aspired(AspiredVersions { stream: name.into(), versions: Ok(vec![]) });
//! }
//! assert_eq!(*images.0.lock().unwrap(), ["image-classes"]);
//! assert_eq!(*others.0.lock().unwrap(), ["sentiment"]);
//! ```

mod dynamic;
mod fixed;
mod router;

pub use dynamic::DynamicRouter;
pub use fixed::StaticRouter;
pub use router::{Route, Router};

#[cfg(test)]
mod tests;
