//! Reconciles the versions that should be loaded with those that are.
//!
//! Sources say which versions there should be; the [`AspiredManager`] loads and unloads until it is so, in the order
//! that its policy wants, and keeps a map in which requests look up. It knows neither where versions come from nor
//! what they are, and it stands on [`salver_manager_basic`], whose promises it keeps. What it adds:
//!
//! - A version left out of a set is unloaded; an empty set unloads all; a stream never mentioned is not touched.
//!   Saying the same again is harmless. A loaded version that is still wanted is never unloaded.
//! - A version wanted again before it began to go stays; one that is going is loaded anew once it is gone.
//! - A version that failed stays failed until its revision changes; one that arrives with an error fails at once.
//! - A version that was refused for want of room is tried again when room comes free, while it is still wanted.
//! - A source that cannot tell changes nothing, and its error is reported.
//! - Nothing ticks and nothing is global: whatever can be done is done at once, as far as there are load threads and
//!   room. A slow load or a held handle delays its own version (and under [`Policy::ResourcePreserving`] its stream).
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//! use salver_core_loader::{Aspired, AspiredVersions, LoadContext, Loader, Target};
//! use salver_core_servable::{Lookup, StreamName, Version, VersionChoice};
//! use salver_core_status::Status;
//! use salver_manager_aspired::{AspiredManager, Options};
//! use salver_manager_monitor::Monitor;
//!
//! struct Table;
//!
//! impl Loader for Table {
//!     type Servable = Vec<u32>;
//!
//!     fn load(&mut self, context: &LoadContext<'_>) -> Result<Vec<u32>, Status> {
//!         Ok(vec![context.id.version.number() as u32; 3])
//!     }
//! }
//!
//! let monitor = Arc::new(Monitor::default());
//! let manager = AspiredManager::start(Options::new(monitor.clone())).unwrap();
//! let name = StreamName::from("table");
//! let version = Aspired { version: Version::new(7).unwrap(), revision: 0, data: Ok(Table) };
//! manager.set_aspired(AspiredVersions { stream: name.clone(), versions: Ok(vec![version]) });
//!
//! let deadline = Instant::now() + Duration::from_secs(10);
//! assert!(monitor.wait_until_settled(&[name], deadline));
//! assert_eq!(*manager.serving().get("table", VersionChoice::Latest).unwrap(), [7, 7, 7]);
//! assert!(manager.shut_down(deadline));
//! ```

mod manager;
mod options;
mod stream;
mod streams;

pub use manager::AspiredManager;
pub use options::{Options, PolicyFor};
pub use salver_manager_basic::{Hook, LoadHook, LoadOrder, Retry, State};
pub use salver_manager_policy::Policy;

#[cfg(test)]
mod tests;
