//! Finds, inspects, opens and checks plugin libraries, and presents them as platforms and sources.
//!
//! [`inspect`] says what a library is without running any of its code. [`Plugins`] opens libraries, and presents what
//! they offer as [`Platform`](salver_core_platform::Platform)s and [`Source`](salver_core_loader::Source)s like any other.
//! What a plugin does wrong is an [`Error`] or a `Status` that names it; the server goes on.
//!
//! Everything that comes back from a plugin is checked before it is used: pointers, numbers, shapes, sizes, how many
//! there are. What cannot be checked, that a pointer leads to as many bytes as are said, is the plugin's promise.
//!
//! Output tensors are not copied: they stay in the plugin's memory, which is released when the last of them is
//! dropped. A model that panicked serves on while it is loaded anew, and is then replaced.
//!
//! ```no_run
//! use salver_plugins_host::{HostServices, Plugins};
//!
//! let plugins = Plugins::new(HostServices::default());
//! for (path, error) in plugins.search(&["/usr/lib/salver/plugins"]) {
//!     eprintln!("{}: {error}", path.display());
//! }
//! for platform in plugins.platforms() {
//!     println!("{}", platform.name());
//! }
//! ```

#![expect(unsafe_code, reason = "this crate calls into foreign libraries and reads what they return")]

mod batching;
mod details;
mod error;
mod inputs;
mod inspect;
mod instance;
mod ledger;
mod library;
mod memory;
mod model;
mod neighbours;
mod outputs;
mod platform;
mod plugins;
mod rebuild;
mod services;
mod signatures;
mod sink;
mod source;
mod tables;

pub use error::Error;
pub use inspect::{Door, Inspection, inspect};
pub use plugins::{Plugin, Plugins};
pub use rebuild::Backoff;
pub use services::{HostServices, MetricKind, NoMetrics, PluginMetrics};
pub use source::{PluginSource, SourceKind};
