//! The file system, as far as it is asked. A trait, so that tests can have one that hangs, or is old.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use salver_core_status::Status;

use crate::{listing, walk};

/// Answers about folders. Any call may block for as long as the file system does.
pub(crate) trait Files: Send + Sync + 'static {
    /// As [`listing::subfolders`].
    fn subfolders(&self, folder: &Path) -> Result<Vec<(OsString, PathBuf)>, Status>;

    /// Walks a folder, and tells of each folder before it reads it.
    fn walk(&self, folder: &Path, enter: &mut dyn FnMut(&Path)) -> Walk;

    /// Whether there is something, a file or whatever else.
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// What a walk through a folder found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// Changes with the names, sizes and times of what is in the folder, at any depth.
    pub(crate) fingerprint: u64,
    /// For how long nothing has been touched: zero where the times say nothing, or lie in the future.
    pub(crate) age: Duration,
}

/// The file system there is.
pub(crate) struct Disk;

impl Files for Disk {
    fn subfolders(&self, folder: &Path) -> Result<Vec<(OsString, PathBuf)>, Status> {
        listing::subfolders(folder)
    }

    fn walk(&self, folder: &Path, enter: &mut dyn FnMut(&Path)) -> Walk {
        let (fingerprint, newest) = walk::walk(folder, enter);
        let age = newest.and_then(|newest| SystemTime::now().duration_since(newest).ok());
        Walk { fingerprint, age: age.unwrap_or_default() }
    }
}
