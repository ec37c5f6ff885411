//! Loads and unloads single servable versions on request.
//!
//! A [`BasicManager`] does to each version what it is asked to do, and is the ground that other managers stand on: they
//! decide, and what is in [`engine`] does the rest. What holds for all of them:
//!
//! - Nothing ticks and nothing is global: whatever can be done is done at once, as far as there are threads and room.
//! - Loads never take more than there is: room is reserved by the loader's estimate before an attempt, and kept by what
//!   was measured after it, until the version is unloaded. What does not fit waits while room is on its way, and is
//!   refused with the figures when none is.
//! - An attempt that failed is made again after a wait that takes neither thread nor room, and ends at once when the
//!   version is called off.
//! - A servable is made, measured and freed, and its memory given back, on the manager's threads, never on a request's.
//! - Who holds a handle delays the unloading of its own version, and nothing else.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use salver_core_loader::{LoadContext, Loader};
//! use salver_core_servable::{Lookup, ServableId, Version, VersionChoice};
//! use salver_core_status::Status;
//! use salver_manager_basic::{BasicManager, Options};
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
//! let manager = BasicManager::start(Options::new(Arc::new(Monitor::default())))?;
//! let id = ServableId::new("table", Version::new(7).unwrap());
//! manager.manage(id.clone(), Ok(Table))?;
//! let (sender, done) = mpsc::channel();
//! manager.load(&id, move |result| sender.send(result).unwrap());
//! done.recv().unwrap()?;
//! assert_eq!(*manager.serving().get("table", VersionChoice::Latest).unwrap(), [7, 7, 7]);
//! # Ok::<(), Status>(())
//! ```

mod command;
mod core;
mod driver;
mod manager;
mod options;
mod outcome;
mod pool;
mod record;
mod registry;
mod room;
mod steps;
mod threads;
mod workers;

pub use manager::BasicManager;
pub use options::{Hook, LoadHook, LoadOrder, Options, Retry};
pub use salver_manager_harness::State;

pub mod engine {
    //! What managers are made of: a pure core, and the threads that carry out what it decides.
    //!
    //! A manager gives an [`Engine`] a [`Director`], who is told what moves and asks the [`Registry`] for loads and
    //! unloads. Tests give a [`Core`] the same director, and play the threads.

    pub use crate::command::{Command, Done, Moment, Outcome, Rules};
    pub use crate::core::{Core, Director};
    pub use crate::registry::Registry;
    pub use crate::threads::Engine;
}

#[cfg(test)]
mod tests;
