//! Where TensorFlow's shared library is, and the one that is open.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use salver_core_status::{Quoted, Status};
use salver_platforms_tensorflow_sys as tf;

/// The environment variable that names the library.
const VARIABLE: &str = "SALVER_TENSORFLOW_LIBRARY";

/// How its file is called: in the Python packages, and in the packages for C.
const FILES: [&str; 2] = ["libtensorflow_cc.so.2", "libtensorflow.so.2"];

/// Opened by the first load, kept to the end of the process: TensorFlow cannot be opened twice.
static OPEN: Mutex<Option<(PathBuf, &'static tf::TensorFlow)>> = Mutex::new(None);

/// Where TensorFlow's shared library is looked for: option `library`, else the environment variable
/// `SALVER_TENSORFLOW_LIBRARY`, else `libtensorflow_cc.so.2` in `../lib` of the plugin's directory, else there itself.
#[derive(Clone, Debug, Default)]
pub struct LibrarySearch {
    plugin: Option<PathBuf>,
}

impl LibrarySearch {
    /// By option and environment variable alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Near the plugin at this path too.
    pub fn beside(plugin: impl Into<PathBuf>) -> Self {
        Self { plugin: Some(plugin.into()) }
    }

    /// TensorFlow, opened where it is not. A failure is not kept: the next load tries again.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where there is none, or another one is open than is wanted.
    pub(crate) fn open(&self, option: Option<&str>) -> Result<&'static tf::TensorFlow, Status> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((library, opened)) = &*open {
            return match option.map(|wanted| absolute(Path::new(wanted))) {
                Some(wanted) if wanted != *library => Err(Status::failed_precondition(format!(
                    "option `library` is {}, but {} is open, and there can be only one",
                    Quoted(&wanted.display().to_string()),
                    Quoted(&library.display().to_string())
                ))),
                _ => Ok(opened),
            };
        }
        let variable = std::env::var(VARIABLE).ok().filter(|path| !path.is_empty());
        let library = self.find(option, variable.as_deref())?;
        let opened = tf::TensorFlow::open(&library).map_err(|reason| {
            Status::failed_precondition(format!("`{}` cannot be opened: {reason}", library.display()))
        })?;
        tracing::info!(library = %library.display(), version = opened.version(), "opened TensorFlow");
        *open = Some((library, opened));
        Ok(opened)
    }

    fn find(&self, option: Option<&str>, variable: Option<&str>) -> Result<PathBuf, Status> {
        let missing = |searched: Vec<String>| {
            Status::failed_precondition(format!("there is no TensorFlow; looked for {}", searched.join(", ")))
        };
        // What is named must be there: no other library stands in for it.
        for (origin, named) in [("option `library`", option), (VARIABLE, variable)] {
            if let Some(named) = named {
                let path = absolute(Path::new(named));
                let is_there = path.is_file();
                return if is_there { Ok(path) } else { Err(missing(vec![format!("{named} ({origin})")])) };
            }
        }
        let mut searched = vec!["option `library` (not set)".to_owned(), format!("{VARIABLE} (not set)")];
        if let Some(directory) = self.plugin.as_deref().map(absolute).as_deref().and_then(Path::parent) {
            let lib = directory.parent().unwrap_or(directory).join("lib");
            for path in [&*lib, directory].iter().flat_map(|folder| FILES.map(|file| folder.join(file))) {
                if path.is_file() {
                    return Ok(path);
                }
                searched.push(path.display().to_string());
            }
        }
        Err(missing(searched))
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_comes_before_variable_before_lib_before_the_plugin_s_directory() {
        let root = tempfile::tempdir().unwrap();
        for file in ["o.so", "v.so", "lib/libtensorflow_cc.so.2", "plugins/libtensorflow.so.2"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let search = LibrarySearch::beside(root.path().join("plugins/libsalver_tensorflow.so"));
        let [o, v] = ["o.so", "v.so"].map(|file| root.path().join(file).to_string_lossy().into_owned());
        assert_eq!(search.find(Some(&o), Some(&v)).unwrap(), root.path().join("o.so"));
        assert_eq!(search.find(None, Some(&v)).unwrap(), root.path().join("v.so"));
        assert_eq!(search.find(None, None).unwrap(), root.path().join("lib/libtensorflow_cc.so.2"));
        std::fs::remove_dir_all(root.path().join("lib")).unwrap();
        assert_eq!(search.find(None, None).unwrap(), root.path().join("plugins/libtensorflow.so.2"));
        let error = search.find(Some("/no/such.so"), None).unwrap_err();
        assert!(error.message().ends_with("looked for /no/such.so (option `library`)"), "{error}");
    }
}
