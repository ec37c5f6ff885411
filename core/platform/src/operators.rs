//! Libraries of operators of one's own, for frameworks that have these once for the process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use salver_core_status::{Quoted, Status};

/// The libraries of operators that a process has opened, which stay open.
///
/// A framework that registers operators for the whole process is mistaken about them, or ends the process, when a second
/// library brings the same ones. Copies of a library have the same name, so there is one of a name.
#[derive(Debug, Default)]
pub struct OperatorLibraries {
    /// Where each is, by the name of its file.
    opened: Mutex<BTreeMap<OsString, PathBuf>>,
}

impl OperatorLibraries {
    /// None yet.
    pub const fn new() -> Self {
        Self { opened: Mutex::new(BTreeMap::new()) }
    }

    /// Opens those of `files` that are not, each by `open`, one at a time. One that fails is tried again when it is asked for
    /// again.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where a file is not there, or another one of its name is open; what `open` says.
    pub fn open(
        &self,
        files: &[PathBuf],
        mut open: impl FnMut(&Path) -> Result<(), Status>,
    ) -> Result<(), Status> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files {
            let shown = |file: &Path| Quoted(&file.display().to_string()).to_string();
            let path = file.canonicalize();
            let path = path.map_err(|error| {
                Status::failed_precondition(format!("library of operators {}: {error}", shown(file)))
            })?;
            let name = path.file_name().unwrap_or_default();
            match opened.get(name) {
                Some(other) if *other == path => {}
                Some(other) => {
                    return Err(Status::failed_precondition(format!(
                        "library of operators {} cannot be opened: {} is open, and a process can have one of a name; a \
                         model with isolation = \"process\" has its own",
                        shown(&path),
                        shown(other)
                    )));
                }
                None => {
                    open(&path).map_err(|status| {
                        status.context(format_args!("library of operators {}", shown(&path)))
                    })?;
                    opened.insert(name.to_owned(), path);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;

    #[test]
    fn each_is_opened_once_and_one_of_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for version in ["1", "2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("own.so"), "").unwrap();
        }
        fs::write(at("shared.so"), "").unwrap();
        let libraries = OperatorLibraries::new();
        let opened = |files: &[&str]| {
            let mut opened = Vec::new();
            let files: Vec<_> = files.iter().map(|file| at(file)).collect();
            let outcome = libraries.open(&files, |file| {
                opened.push(file.strip_prefix(folder.path().canonicalize().unwrap()).unwrap().to_owned());
                Ok(())
            });
            outcome.map(|()| opened).map_err(|status| status.to_string())
        };
        assert_eq!(opened(&["1/../shared.so", "1/own.so"]), Ok(vec!["shared.so".into(), "1/own.so".into()]));
        assert_eq!(opened(&["2/../shared.so", "1/own.so"]), Ok(Vec::new()));
        let error = opened(&["2/own.so"]).unwrap_err();
        assert!(
            error.contains("2/own.so` cannot be opened: `") && error.contains("1/own.so` is open"),
            "{error}"
        );
        assert!(opened(&["none.so"]).unwrap_err().contains("none.so"));
    }

    #[test]
    fn one_that_does_not_open_says_why_and_is_tried_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let files = [file.path().to_owned()];
        let libraries = OperatorLibraries::new();
        let refused = libraries.open(&files, |_| Err(Status::failed_precondition("no library"))).unwrap_err();
        let shown = file.path().canonicalize().unwrap();
        assert_eq!(refused.to_string(), format!("library of operators `{}`: no library", shown.display()));
        assert_eq!(libraries.open(&files, |_| Ok(())), Ok(()));
    }
}
