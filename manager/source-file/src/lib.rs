//! Watches directories for model versions that appear and disappear.
//!
//! A model is a *base path* with one subfolder per version, named by its number; a *repository* is a folder of base
//! paths, each named by its model. What is in a version's folder is not looked into, only whether it still changes.
//! What is found goes to a target as paths; the conventions are TensorFlow Serving's
//! (`sources/storage_path/file_system_storage_path_source.cc`), with these differences:
//!
//! - A path that cannot be read is an error of its own model; the others go on.
//! - A version that appears after the first scan is taken only once two scans running found the same names, sizes
//!   and times in it: a half-copied version is not loaded. One that was taken stays taken, whatever its files do.
//! - The polling thread stops at once.
//!
//! ```
//! use salver_manager_source_file::{Config, Scanner, VersionPolicy};
//!
//! let repository = tempfile::tempdir().unwrap();
//! std::fs::create_dir_all(repository.path().join("digits/1")).unwrap();
//! std::fs::create_dir_all(repository.path().join("digits/00000002")).unwrap();
//!
//! let config = Config { repositories: vec![repository.path().to_owned()], ..Config::default() };
//! let aspired = Scanner::new(config).scan().remove(0);
//! let versions = aspired.versions.unwrap();
//! assert_eq!((aspired.stream.as_str(), versions.len()), ("digits", 1));
//! assert_eq!(versions[0].version.number(), 2);
//! assert!(versions[0].data.as_ref().unwrap().path.ends_with("digits/00000002"));
//! ```

mod config;
mod fingerprint;
mod listing;
mod model;
mod notices;
mod prefix;
mod scanner;
mod source;

pub use config::{Config, ModelDir, PolicyFor, VersionPolicy};
pub use prefix::PrefixPath;
pub use scanner::Scanner;
pub use source::FileSystemSource;

/// Where a version is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VersionPath {
    /// The version's folder.
    pub path: std::path::PathBuf,
}

#[cfg(test)]
mod tests;
