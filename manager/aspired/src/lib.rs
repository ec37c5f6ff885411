//! Reconciles the versions that should be loaded with those that are.
//!
//! Sources say which versions there should be; the [`AspiredManager`] loads and unloads until it is so, in the order
//! that its policy wants, and keeps a map in which requests look up. It knows neither where versions come from nor
//! what they are. What it does:
//!
//! - A version left out of a set is unloaded; an empty set unloads all; a stream never mentioned is not touched.
//!   Saying the same again is harmless. A loaded version that is still wanted is never unloaded.
//! - A version wanted again before it began to go stays; one that is going is loaded anew once it is gone.
//! - A version that failed stays failed until its revision changes; one that arrives with an error fails at once.
//! - A source that cannot tell changes nothing, and its error is reported.
//! - Nothing ticks and nothing is global: whatever can be done is done at once, as far as there are load threads. A
//!   slow load or a held handle delays its own version (and under [`Policy::ResourcePreserving`] its stream).
//! - A servable is made, freed and its memory given back on the manager's threads, never on a request's.
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

mod driver;
mod manager;
mod reconcile;
mod stream;
mod workers;

pub use manager::{AspiredManager, Options};
pub use salver_manager_policy::Policy;

#[cfg(test)]
mod tests;
