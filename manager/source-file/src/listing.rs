//! What is in a folder: versions in a base path, models in a repository.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use salver_core_servable::Version;
use salver_core_status::{Code, Quoted, Status};

/// The versions in a base path.
pub(crate) struct Versions {
    pub(crate) paths: BTreeMap<Version, PathBuf>,
    /// A sentence for each version that is there twice.
    pub(crate) duplicates: Vec<String>,
}

/// The versions that folders stand for. Of two folders of the same number (`1` and `001`) the lexicographically later
/// counts.
pub(crate) fn versions(folders: Vec<(OsString, PathBuf)>) -> Versions {
    let mut versions = Versions { paths: BTreeMap::new(), duplicates: Vec::new() };
    for (name, path) in folders {
        let Some(version) = name.to_str().and_then(parse_version) else { continue };
        if let Some(other) = versions.paths.insert(version, path.clone()) {
            let sentence =
                format!("{} is used, and {}, of the same version, is not", shown(&path), shown(&other));
            versions.duplicates.push(sentence);
        }
    }
    versions
}

/// The folders in a folder, in order, links to folders among them; hidden ones left out.
///
/// # Errors
/// NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (not a folder) or UNAVAILABLE, naming the path. A listing is whole
/// or an error: what an incomplete one leaves out would be unloaded.
pub(crate) fn subfolders(path: &Path) -> Result<Vec<(OsString, PathBuf)>, Status> {
    list(path).map_err(|error| explain(path, &error))
}

fn list(path: &Path) -> io::Result<Vec<(OsString, PathBuf)>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() || (kind.is_symlink() && leads_to_folder(&entry.path())) {
            folders.push((name, entry.path()));
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

/// ELOOP on Linux; its kind of error has no stable name.
const LINK_LOOP: i32 = 40;

/// Whether a link leads to a folder. One that leads nowhere, or round in a circle, does not; one of which nobody can
/// tell counts as one that does: it is the trouble of whoever looks into it, and not of its neighbours.
fn leads_to_folder(link: &Path) -> bool {
    match fs::metadata(link) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) => {
            !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
                && error.raw_os_error() != Some(LINK_LOOP)
        }
    }
}

fn explain(path: &Path, error: &io::Error) -> Status {
    let code = match error.kind() {
        io::ErrorKind::NotFound => Code::NotFound,
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        io::ErrorKind::NotADirectory => Code::InvalidArgument,
        _ => Code::Unavailable,
    };
    Status::new(code, format!("listing {}: {error}", shown(path)))
}

/// A path as text for a person.
pub(crate) fn shown(path: &Path) -> String {
    Quoted(&path.to_string_lossy()).to_string()
}

/// The version that a folder's name stands for; `None` where it is not a number, or too large a one.
pub fn parse_version(name: &str) -> Option<Version> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_number).and_then(Version::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_are_not_plain_numbers_are_not_versions() {
        for name in ["", "+1", "-1", "1.0", "v1", "1 ", "١", "9223372036854775808"] {
            assert_eq!(parse_version(name), None, "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn links_that_lead_nowhere_or_round_in_a_circle_are_no_folders_and_hide_none() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1")).unwrap();
        symlink("1", folder.path().join("2")).unwrap();
        symlink("nowhere", folder.path().join("3")).unwrap();
        symlink("4", folder.path().join("4")).unwrap();
        let names: Vec<_> = subfolders(folder.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["1", "2"]);
    }

    proptest! {
        #[test]
        fn a_number_is_read_back_whatever_its_leading_zeros(number in 0..=i64::MAX, zeros in 0..30_usize) {
            let name = format!("{}{number}", "0".repeat(zeros));
            prop_assert_eq!(parse_version(&name), Version::new(number));
        }

        #[test]
        fn any_name_is_a_version_or_not(name: String) {
            let is_version = parse_version(&name).is_some();
            prop_assert!(!is_version || name.trim_start_matches('0').len() < 20);
        }
    }
}
