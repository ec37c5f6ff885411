//! Loads versions when they are first asked for, and evicts within a budget.
//!
//! For more models than there is memory, of which few are wanted at a time. Nobody says which versions there should be:
//! a [`LoaderFactory`] can make a loader for any of them, a request decides. The [`CachingManager`]:
//!
//! - loads a version once, however many ask for it, and answers all of them; streams do not wait for each other;
//! - keeps what is loaded, being loaded and being unloaded within a budget of bytes, by the loaders' estimates first and
//!   by what was measured later; evicts what was used longest ago, or what is cheap to load again ([`Eviction`]);
//! - never evicts what is pinned or being loaded; who waits for room gets it in the order of coming;
//! - answers a failure of before at once for a while ([`BackOff`]), then tries again: in TensorFlow Serving what failed
//!   once fails for ever.
//!
//! A request that names no version finds the one that the factory calls the latest. Its word is good for a while; then it
//! is asked again, and another version takes over once it is loaded, without anybody waiting. A factory that is told of
//! changes passes them on by [`CachingManager::offer`]; then nothing waits for that.
//!
//! ```
//! use std::path::PathBuf;
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//! use salver_core_loader::{LoadContext, Loader};
//! use salver_core_resource::{Allocation, Estimate};
//! use salver_core_servable::{ServableId, StreamName, Version, VersionChoice};
//! use salver_core_status::Status;
//! use salver_manager_caching::{Cached, CachingManager, LoaderFactory, Options};
//! use salver_manager_monitor::Monitor;
//!
//! /// Serves every file below a folder by its name; there is one version of each.
//! struct Folder(PathBuf);
//!
//! struct File(PathBuf);
//!
//! impl LoaderFactory for Folder {
//!     type Loader = File;
//!
//!     fn latest(&self, _name: &StreamName) -> Result<Version, Status> {
//!         Ok(Version::new(0).unwrap())
//!     }
//!
//!     fn loader(&self, id: &ServableId) -> Result<File, Status> {
//!         match id.version.number() {
//!             0 => Ok(File(self.0.join(id.name.as_str()))),
//!             _ => Err(Status::failed_precondition(format!("{id} was asked for, there is version 0 only"))),
//!         }
//!     }
//! }
//!
//! impl Loader for File {
//!     type Servable = Cached<Vec<u8>>;
//!
//!     fn estimate(&mut self, _id: &ServableId) -> Result<Estimate, Status> {
//!         let size = std::fs::metadata(&self.0).map_err(|error| Status::not_found(error.to_string()))?.len();
//!         Ok(Estimate::steady(Allocation::ram_bytes(size)))
//!     }
//!
//!     fn load(&mut self, _context: &LoadContext<'_>) -> Result<Cached<Vec<u8>>, Status> {
//!         std::fs::read(&self.0).map(Cached::new).map_err(|error| Status::unavailable(error.to_string()))
//!     }
//! }
//!
//! let folder = tempfile::tempdir().unwrap();
//! std::fs::write(folder.path().join("greeting"), "hello").unwrap();
//!
//! let budget_bytes = 1 << 20;
//! let options = Options::new(budget_bytes, Arc::new(Monitor::default()));
//! let manager = CachingManager::start(options, Folder(folder.path().into()))?;
//!
//! let deadline = Instant::now() + Duration::from_secs(10);
//! let handle = manager.get("greeting", VersionChoice::Latest, deadline)?;
//! assert_eq!(handle.as_slice(), b"hello");
//! assert_eq!(manager.stats().used_bytes, 5);
//!
//! let other = VersionChoice::Specific(Version::new(1).unwrap());
//! assert!(manager.get("greeting", other, deadline).is_err());
//! # Ok::<(), Status>(())
//! ```

mod cache;
mod cached;
mod driver;
mod entry;
mod eviction;
mod factory;
mod failures;
mod manager;
mod meter;
mod offer;
mod options;
mod room;
mod tally;

pub use cached::Cached;
pub use eviction::Eviction;
pub use factory::LoaderFactory;
pub use failures::BackOff;
pub use manager::{CachingManager, Ticket};
pub use options::{Options, Stats};

#[cfg(test)]
mod tests;
