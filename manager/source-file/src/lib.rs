//! Watches directories for model versions that appear and disappear.
//!
//! A model is a *base path* with one subfolder per version, named by its number; a *repository* is a folder of base
//! paths, each named by its model. What is in a version's folder is not looked into, only whether it still changes.
//! What is found goes to a target as paths; the conventions are TensorFlow Serving's
//! (`sources/storage_path/file_system_storage_path_source.cc`), with these differences:
//!
//! - **One model's trouble is its own.** Models are looked at side by side; a path that cannot be read, or that hangs, is
//!   an error of its model, and the others go on.
//! - **No half-copied version is loaded.** A version that appears is taken once its names, sizes and times have not changed
//!   for [`settle`](Config::settle), at any depth. What is there at the first look is taken at once, unless it was modified
//!   just before. A version that was taken stays taken, whatever its files do; its revision tells that they changed.
//! - **Nobody can know** that a copy that pauses for longer is not complete: it is taken, may fail to load, and is tried
//!   again when it goes on. Where it loads as it is, it stays as it was loaded. A [`marker`](ModelPolicy::marker) that is
//!   written last, or a folder that is renamed into place, leaves no doubt. (To ask the system whether somebody has a file
//!   open for writing takes a lease, which would interrupt the writer and signal this process.)
//! - **Changes are noticed at once**, where the system tells of them. Looking from time to time is the safety net.
//! - The models known by name can be [replaced](FileSystemSource::update) at any time, however often they are looked at.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use std::time::Duration;
//!
//! use salver_core_loader::{AspiredVersions, Source as _, Target};
//! use salver_manager_source_file::{Config, FileSystemSource, VersionPath};
//!
//! struct Channel(mpsc::Sender<AspiredVersions<VersionPath>>);
//!
//! impl Target<VersionPath> for Channel {
//!     fn set_aspired(&self, aspired: AspiredVersions<VersionPath>) {
//!         let _ = self.0.send(aspired);
//!     }
//! }
//!
//! let repository = tempfile::tempdir().unwrap();
//! std::fs::create_dir_all(repository.path().join("digits/1")).unwrap();
//! std::fs::create_dir_all(repository.path().join("digits/00000002")).unwrap();
//!
//! // These folders are so new that they might still be being filled. They are not.
//! let (repositories, settle) = (vec![repository.path().to_owned()], Duration::ZERO);
//! let mut source = FileSystemSource::new(Config { repositories, settle, ..Config::default() });
//! let (sender, told) = mpsc::channel();
//! source.connect(Arc::new(Channel(sender)));
//! let aspired = told.recv().unwrap();
//! let versions = aspired.versions.unwrap();
//! assert_eq!((aspired.stream.as_str(), versions.len()), ("digits", 1));
//! assert_eq!(versions[0].version.number(), 2);
//! assert!(versions[0].data.as_ref().unwrap().path.ends_with("digits/00000002"));
//! ```

mod agenda;
mod config;
mod driver;
mod files;
mod inotify;
mod listing;
mod model;
mod notices;
mod prefix;
mod scan;
mod settling;
mod source;
mod timetable;
mod walk;

pub use config::{Config, ModelDir, ModelPolicy, PolicyFor, VersionPolicy};
pub use listing::parse_version;
pub use prefix::PrefixPath;
pub use source::FileSystemSource;

/// Where a version is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VersionPath {
    /// The version's folder.
    pub path: std::path::PathBuf,
}

#[cfg(test)]
mod tests;
