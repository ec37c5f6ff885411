//! The files of a model: how large they are, and how much of the page cache they keep.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

/// The most entries of directories that are looked at: more are no model's.
const MOST_ENTRIES: usize = 1_000_000;

/// The size of all files below `path`, or of the file that it is, in bytes. Links are followed, and what can be reached
/// in several ways counts once.
///
/// The default of what a model needs, where its platform does not tell, is 1.2 times this, as in TensorFlow Serving.
///
/// # Errors
/// Where something cannot be read, or there are more than a million entries.
pub fn directory_size(path: &Path) -> io::Result<u64> {
    Files::below(path).try_fold(0u64, |sum, file| Ok(sum.saturating_add(file?.size)))
}

/// Takes the files below `path` out of the page cache. For a version that was loaded, or unloaded: what its load has
/// read would otherwise push out pages that other models still use.
///
/// Pages that are mapped into any process stay, as do those not yet written to disk. What cannot be read is passed over.
/// Blocks, though not for long.
pub fn forget_files(path: &Path) {
    for file in Files::below(path).flatten() {
        if let Ok(file) = File::open(file.path) {
            // From the start to the end. Nothing is lost where it fails.
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
    }
}

/// A regular file.
struct Entry {
    path: PathBuf,
    /// In bytes.
    size: u64,
}

/// Every regular file below a path, each once, links followed, and an error for each that cannot be read.
struct Files {
    left: Vec<PathBuf>,
    /// Devices and inodes, so that no link leads around for ever.
    seen: HashSet<(u64, u64)>,
}

impl Files {
    fn below(path: &Path) -> Self {
        Self { left: vec![path.to_owned()], seen: HashSet::new() }
    }

    /// Looks at one path: notes what is in it where it is a directory.
    fn look(&mut self, path: &Path) -> io::Result<Option<Entry>> {
        let metadata = fs::metadata(path)?;
        if !self.seen.insert((metadata.dev(), metadata.ino())) {
            return Ok(None);
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                self.left.push(entry?.path());
                if self.left.len() + self.seen.len() > MOST_ENTRIES {
                    self.left.clear();
                    return Err(io::Error::other(format!("there are more than {MOST_ENTRIES} files")));
                }
            }
        }
        let is_file = metadata.is_file();
        Ok(is_file.then(|| Entry { path: path.to_owned(), size: metadata.len() }))
    }
}

impl Iterator for Files {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(path) = self.left.pop() {
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            if let Some(found) = self.look(&path).map_err(named).transpose() {
                return Some(found);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_file_counts_once_however_many_ways_lead_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("model/variables")).unwrap();
        fs::write(at("model/graph.pb"), [0; 10]).unwrap();
        fs::write(at("model/variables/data"), [0; 200]).unwrap();
        fs::write(at("elsewhere"), [0; 3000]).unwrap();
        assert_eq!(directory_size(&at("model")).unwrap(), 210);
        symlink(at("elsewhere"), at("model/linked")).unwrap();
        fs::hard_link(at("model/graph.pb"), at("model/again.pb")).unwrap();
        symlink("..", at("model/variables/around")).unwrap();
        assert_eq!(directory_size(&at("model")).unwrap(), 3210);
        assert_eq!(directory_size(&at("elsewhere")).unwrap(), 3000);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/no/such/file", folder.path().join("lost")).unwrap();
        let error = directory_size(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/lost: "), "{error}");
    }
}
