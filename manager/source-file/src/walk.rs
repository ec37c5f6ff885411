//! A number that changes when the files of a folder do, and when they last did.

use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How many files and folders are looked at: a walk must not take longer than the time between two.
const MAX_ENTRIES: usize = 10_000;

/// How deep; links may lead round in circles.
const MAX_DEPTH: usize = 16;

/// A hash of the names, sizes and times of what is in a folder, at any depth, and the latest of the times, the folder's
/// own among them. Links are followed. `enter` is called with each folder before it is read.
///
/// The times are those of the last write and of the last change of any kind: a copy that keeps the former, or a write
/// that hides it, shows in the latter. Good within one process. What cannot be read counts as what it is, unreadable.
/// In a folder larger than what a walk may look at, changes past that are not noticed.
pub(crate) fn walk(folder: &Path, enter: &mut dyn FnMut(&Path)) -> (u64, Option<SystemTime>) {
    let newest = fs::metadata(folder).ok().and_then(|metadata| latest_time(&metadata));
    let mut walker = Walker { enter, entries_left: MAX_ENTRIES, hasher: DefaultHasher::new(), newest };
    walker.folder(folder, MAX_DEPTH);
    (walker.hasher.finish(), walker.newest)
}

struct Walker<'a> {
    enter: &'a mut dyn FnMut(&Path),
    entries_left: usize,
    hasher: DefaultHasher,
    newest: Option<SystemTime>,
}

impl Walker<'_> {
    fn folder(&mut self, folder: &Path, depth_left: usize) {
        (self.enter)(folder);
        let listed = fs::read_dir(folder).and_then(|entries| {
            let names = entries.take(self.entries_left).map(|entry| Ok(entry?.file_name()));
            names.collect::<io::Result<Vec<_>>>()
        });
        let mut names = match listed {
            Ok(names) => names,
            // A tag goes before, lest an error be taken for a number of files.
            Err(error) => return Err::<usize, _>(error.kind()).hash(&mut self.hasher),
        };
        // Folders are listed in no order that could be relied on.
        names.sort_unstable();
        Ok::<_, io::ErrorKind>(names.len()).hash(&mut self.hasher);
        self.entries_left = self.entries_left.saturating_sub(names.len());
        for name in names {
            name.hash(&mut self.hasher);
            let path = folder.join(&name);
            match fs::metadata(&path) {
                Err(error) => error.kind().hash(&mut self.hasher),
                Ok(metadata) => {
                    self.newest = self.newest.max(latest_time(&metadata));
                    if metadata.is_dir() && depth_left > 0 {
                        self.folder(&path, depth_left - 1);
                    } else {
                        (metadata.len(), metadata.modified().ok(), changed(&metadata)).hash(&mut self.hasher);
                    }
                }
            }
        }
    }
}

/// When the file was last written, renamed, given other rights or moved there: a time that nobody can set.
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    let seconds = Duration::from_secs(u64::try_from(metadata.ctime()).ok()?);
    let nanoseconds = Duration::from_nanos(u64::try_from(metadata.ctime_nsec()).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds)?.checked_add(nanoseconds)
}

fn latest_time(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok().max(changed(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(folder: &Path) -> u64 {
        walk(folder, &mut |_| {}).0
    }

    #[test]
    fn it_changes_with_names_sizes_and_times_at_any_depth_and_with_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut seen = vec![fingerprint(path)];
        let mut changes = |what: &str| {
            let now = fingerprint(path);
            assert_eq!(fingerprint(path), now);
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        fs::create_dir(path.join("variables")).unwrap();
        changes("a folder more");
        let file = path.join("variables/data");
        fs::write(&file, "12").unwrap();
        changes("a file more");
        fs::write(&file, "123").unwrap();
        changes("another size");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        changes("another time");
        fs::rename(&file, path.join("variables/index")).unwrap();
        changes("another name");
        fs::rename(path.join("variables/index"), path.join("index")).unwrap();
        changes("another place");
    }

    #[test]
    fn a_copy_that_keeps_old_times_is_as_new_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let before = SystemTime::now().checked_sub(Duration::from_secs(5));
        let file = folder.path().join("data");
        fs::write(&file, "12").unwrap();
        for path in [&file, folder.path()] {
            fs::File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let (_, newest) = walk(folder.path(), &mut |_| {});
        assert!(newest > before);
    }

    #[test]
    fn each_folder_is_told_of_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let mut entered = Vec::new();
        walk(folder.path(), &mut |path| entered.push(path.to_owned()));
        assert_eq!(entered, [folder.path().to_owned(), folder.path().join("a"), inner.clone()]);
        // What is written on the word is seen by the walk that gave it.
        let once = fingerprint(folder.path());
        let write = &mut |path: &Path| {
            if path == inner {
                fs::write(inner.join("late"), "1").unwrap();
            }
        };
        assert_ne!(walk(folder.path(), write).0, once);
    }

    #[test]
    fn a_link_that_leads_round_in_a_circle_is_walked_so_far_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("round")).unwrap();
        assert_eq!(fingerprint(folder.path()), fingerprint(folder.path()));
    }

    #[test]
    fn a_folder_that_is_not_there_has_one_too() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert_ne!(fingerprint(&missing), fingerprint(folder.path()));
    }
}
