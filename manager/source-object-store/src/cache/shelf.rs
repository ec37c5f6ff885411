//! The cache's folders: what is where, and what goes when room is needed.
//!
//! ```text
//! objects/<SHA-256>            the bytes, each content once, whichever objects have it
//! names/<identity>             links an object's URL, size and ETag to its content
//! partial/<identity>           an object on its way
//! staging/<version>/           a version on its way
//! versions/<version>/<number>  a version: hard links to contents
//! ```
//!
//! What is complete came to its place by one rename or link, so that what is there is whole, whenever the process
//! ended. A content that no version links to has one link left and may go.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use salver_core_status::{Code, Quoted, Status};

/// A folder that belongs to one cache.
#[derive(Debug)]
pub(super) struct Shelf {
    root: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// An object on its way that nobody came back for is kept so long.
const KEEP_PARTIAL: Duration = Duration::from_secs(24 * 60 * 60);

impl Shelf {
    /// Takes possession of a folder, which is made if it is not there, and clears away what an earlier process left
    /// half done. What may be gone on with is kept.
    pub(super) fn open(root: PathBuf) -> Result<Self, Status> {
        let mut own = fs::DirBuilder::new();
        // What is in it may be nobody else's business.
        own.recursive(true).mode(0o700);
        for folder in ["objects", "names", "partial", "staging", "versions"] {
            let path = root.join(folder);
            own.create(&path).map_err(|error| failed("making", &path, &error))?;
        }
        let path = root.join("lock");
        let lock = File::options().create(true).append(true).open(&path);
        let lock = lock.map_err(|error| failed("opening", &path, &error))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => Status::failed_precondition(format!(
                "cache {} is in use by another process",
                Quoted(&root.to_string_lossy())
            )),
            fs::TryLockError::Error(error) => failed("locking", &path, &error),
        })?;
        let shelf = Self { root, _lock: lock };
        shelf.clear_away()?;
        Ok(shelf)
    }

    fn clear_away(&self) -> Result<(), Status> {
        for (path, _) in self.entries("staging")? {
            remove_folder(&path)?;
        }
        for (path, metadata) in self.entries("partial")? {
            let age = metadata.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok());
            if age.is_none_or(|age| age > KEEP_PARTIAL) {
                remove_file(&path)?;
            }
        }
        self.forget_names()
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn partial(&self, identity: &str) -> PathBuf {
        self.root.join("partial").join(identity)
    }

    pub(super) fn staging(&self, version: &str) -> PathBuf {
        self.root.join("staging").join(version)
    }

    pub(super) fn version(&self, version: &str) -> PathBuf {
        self.root.join("versions").join(version)
    }

    /// Links an object to a place, if its content is here. Its folder is made.
    pub(super) fn link(&self, identity: &str, size: u64, to: &Path) -> Result<bool, Status> {
        let Ok(content) = fs::read_link(self.root.join("names").join(identity)) else { return Ok(false) };
        let content = self.root.join("names").join(content);
        // A content is whole, or a disk has lost it.
        if fs::metadata(&content).map(|metadata| metadata.len()).ok() != Some(size) {
            return Ok(false);
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|error| failed("making", folder, &error))?;
        }
        match fs::hard_link(&content, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("linking", to, &error)),
        }
    }

    /// Makes a content of an object that is whole and on disk.
    pub(super) fn keep(&self, identity: &str, sha256: &str) -> Result<(), Status> {
        let content = self.root.join("objects").join(sha256);
        let partial = &self.partial(identity);
        let keep = || {
            // Whoever loads a version must not change what others are made of.
            fs::set_permissions(partial, Permissions::from_mode(0o444))?;
            match fs::hard_link(partial, &content) {
                // One of the same name has the same bytes, unless a disk has lost some.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if fs::metadata(&content)?.len() != fs::metadata(partial)?.len() {
                        fs::remove_file(&content)?;
                        fs::hard_link(partial, &content)?;
                    }
                }
                linked => linked?,
            }
            let name = self.root.join("names").join(identity);
            remove_if_there(&name)?;
            symlink(Path::new("../objects").join(sha256), name)?;
            fs::remove_file(partial)
        };
        keep().map_err(|error| failed("keeping", &content, &error))
    }

    /// The bytes of all that is kept, and of that on its way which somebody is waiting for.
    pub(super) fn used_bytes(&self, is_awaited: impl Fn(&str) -> bool) -> Result<(u64, u64), Status> {
        let (mut kept, mut begun) = (0_u64, 0_u64);
        for (_, metadata) in self.entries("objects")? {
            kept = kept.saturating_add(metadata.len());
        }
        for (path, metadata) in self.entries("partial")? {
            let sum = if is_awaited(&file_name(&path)) { &mut begun } else { &mut kept };
            *sum = sum.saturating_add(metadata.len());
        }
        Ok((kept, begun))
    }

    /// The bytes that the disk has left for this process.
    pub(super) fn free_bytes(&self) -> Result<u64, Status> {
        let system = rustix::fs::statvfs(&self.root)
            .map_err(|error| failed("asking for the free space of", &self.root, &error.into()))?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    /// Removes contents that no version has, and objects on their way that nobody is waiting for. Returns whether there
    /// were any.
    pub(super) fn remove_loose(&self, is_awaited: impl Fn(&str) -> bool) -> Result<bool, Status> {
        let mut found = false;
        for (path, metadata) in self.entries("objects")? {
            if metadata.nlink() <= 1 {
                remove_file(&path)?;
                found = true;
            }
        }
        for (path, _) in self.entries("partial")? {
            if !is_awaited(&file_name(&path)) {
                remove_file(&path)?;
                found = true;
            }
        }
        self.forget_names()?;
        Ok(found)
    }

    /// Removes the version that was used longest ago, of those that are not in use. Returns whether there was one.
    pub(super) fn remove_oldest(&self, is_in_use: impl Fn(&str) -> bool) -> Result<bool, Status> {
        let versions = self.entries("versions")?.into_iter();
        let unused = versions.filter(|(path, _)| !is_in_use(&file_name(path)));
        let Some((path, _)) = unused.min_by_key(|(_, metadata)| metadata.modified().ok()) else {
            return Ok(false);
        };
        // From one moment to the next it is no version any more.
        let gone = self.staging(&format!("{}.gone", file_name(&path)));
        remove_folder(&gone)?;
        fs::rename(&path, &gone).map_err(|error| failed("removing", &path, &error))?;
        remove_folder(&gone)?;
        Ok(true)
    }

    fn forget_names(&self) -> Result<(), Status> {
        let names = self.root.join("names");
        for (path, _) in self.entries("names")? {
            let content = fs::read_link(&path).map(|content| names.join(content));
            if !content.is_ok_and(|content| content.exists()) {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn entries(&self, folder: &str) -> Result<Vec<(PathBuf, fs::Metadata)>, Status> {
        let path = self.root.join(folder);
        let list = || {
            let entry = |entry: io::Result<fs::DirEntry>| {
                let entry = entry?;
                match entry.metadata() {
                    // Somebody finished with it meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    metadata => Ok(Some((entry.path(), metadata?))),
                }
            };
            fs::read_dir(&path)?.map(entry).filter_map(Result::transpose).collect::<io::Result<_>>()
        };
        list().map_err(|error| failed("listing", &path, &error))
    }
}

/// Says that a version is used.
pub(super) fn touch(version: &Path) {
    // It only decides what goes first.
    if let Ok(folder) = File::open(version) {
        let _ = folder.set_modified(SystemTime::now());
    }
}

/// The status of a file operation that failed: RESOURCE_EXHAUSTED where the disk is full, else UNAVAILABLE.
pub(super) fn failed(doing: &str, path: &Path, error: &io::Error) -> Status {
    let code = if is_full(error) { Code::ResourceExhausted } else { Code::Unavailable };
    Status::new(code, format!("{doing} {}: {error}", Quoted(&path.to_string_lossy())))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub(super) fn remove_folder(path: &Path) -> Result<(), Status> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("removing", path, &error)),
        _ => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<(), Status> {
    remove_if_there(path).map_err(|error| failed("removing", path, &error))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
