//! A number that changes when the files of a folder do.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::{fs, io};

/// How many files and folders are looked at: a walk must not take longer than the time between two.
const MAX_ENTRIES: usize = 10_000;

/// How deep; links may lead round in circles.
const MAX_DEPTH: usize = 16;

/// A hash of the names, sizes and times of modification of what is in a folder, at any depth. Links are followed.
///
/// Good within one process. What cannot be read counts as what it is, unreadable. In a folder larger than what a
/// walk may look at, changes past that are not noticed.
pub(crate) fn fingerprint(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut entries_left = MAX_ENTRIES;
    hash_folder(folder, MAX_DEPTH, &mut entries_left, &mut hasher);
    hasher.finish()
}

fn hash_folder(folder: &Path, depth_left: usize, entries_left: &mut usize, hasher: &mut DefaultHasher) {
    let listed = fs::read_dir(folder).and_then(|entries| {
        let names = entries.take(*entries_left).map(|entry| Ok(entry?.file_name()));
        names.collect::<io::Result<Vec<_>>>()
    });
    let mut names = match listed {
        Ok(names) => names,
        // A tag goes before, lest an error be taken for a number of files.
        Err(error) => return Err::<usize, _>(error.kind()).hash(hasher),
    };
    // Folders are listed in no order that could be relied on.
    names.sort_unstable();
    Ok::<_, io::ErrorKind>(names.len()).hash(hasher);
    *entries_left = entries_left.saturating_sub(names.len());
    for name in names {
        name.hash(hasher);
        let path = folder.join(&name);
        match fs::metadata(&path) {
            Err(error) => error.kind().hash(hasher),
            Ok(metadata) if metadata.is_dir() && depth_left > 0 => {
                hash_folder(&path, depth_left - 1, entries_left, hasher);
            }
            Ok(metadata) => {
                metadata.len().hash(hasher);
                metadata.modified().ok().hash(hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

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

    #[cfg(unix)]
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
