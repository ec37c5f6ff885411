//! Where ONNX Runtime's shared library is.

use std::path::{Path, PathBuf};

use crate::Error;

/// The environment variable that names the library.
const VARIABLE: &str = "SALVER_ONNXRUNTIME_LIBRARY";

/// How its file is called, perhaps with a version behind it.
const FILE: &str = "libonnxruntime.so";

/// Where ONNX Runtime's shared library is looked for: option `library`, else the environment variable
/// `SALVER_ONNXRUNTIME_LIBRARY`, else `libonnxruntime.so*` in `../lib` of the plugin's directory, else there itself.
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

    /// The library's absolute path.
    pub(crate) fn find(&self, option: Option<&str>) -> Result<PathBuf, Error> {
        let variable = std::env::var(VARIABLE).ok().filter(|path| !path.is_empty());
        self.find_with(option, variable.as_deref())
    }

    fn find_with(&self, option: Option<&str>, variable: Option<&str>) -> Result<PathBuf, Error> {
        // What is named must be there: no other library stands in for it.
        for (origin, named) in [("option `library`", option), (VARIABLE, variable)] {
            if let Some(named) = named {
                return match absolute(Path::new(named)) {
                    path if path.is_file() => Ok(path),
                    path => {
                        Err(Error::NoLibrary { searched: vec![format!("{} ({origin})", path.display())] })
                    }
                };
            }
        }
        let mut searched = vec!["option `library` (not set)".to_owned(), format!("{VARIABLE} (not set)")];
        if let Some(directory) = self.plugin.as_deref().map(absolute).as_deref().and_then(Path::parent) {
            let lib = directory.parent().unwrap_or(directory).join("lib");
            for directory in [&lib, directory] {
                match find_in(directory) {
                    Some(path) => return Ok(path),
                    None => searched.push(format!("{}*", directory.join(FILE).display())),
                }
            }
        }
        Err(Error::NoLibrary { searched })
    }
}

/// The library in this directory: the name without a version before those with one.
fn find_in(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?;
    let is_library = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        let version = name.as_deref().and_then(|name| name.strip_prefix(FILE));
        path.is_file() && version.is_some_and(|version| version.is_empty() || version.starts_with('.'))
    };
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_library).min()
}

pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn option_comes_before_variable_before_lib_before_the_plugin_s_directory() {
        let root = tree(&["o.so", "v.so", "lib/libonnxruntime.so.1.31.1", "plugins/libonnxruntime.so"]);
        let search = LibrarySearch::beside(root.path().join("plugins/libsalver_onnxruntime.so"));
        let [o, v] = ["o.so", "v.so"].map(|file| root.path().join(file).to_string_lossy().into_owned());
        assert_eq!(search.find_with(Some(&o), Some(&v)).unwrap(), root.path().join("o.so"));
        assert_eq!(search.find_with(None, Some(&v)).unwrap(), root.path().join("v.so"));
        assert_eq!(search.find_with(None, None).unwrap(), root.path().join("lib/libonnxruntime.so.1.31.1"));
        std::fs::remove_dir_all(root.path().join("lib")).unwrap();
        assert_eq!(search.find_with(None, None).unwrap(), root.path().join("plugins/libonnxruntime.so"));
    }

    #[test]
    fn the_plugin_and_the_providers_are_not_mistaken_for_the_library() {
        let root = tree(&["plugins/libonnxruntime_providers_shared.so", "plugins/libonnxruntime.sock"]);
        let error =
            LibrarySearch::beside(root.path().join("plugins/p.so")).find_with(None, None).unwrap_err();
        let (root, message) = (root.path().display().to_string(), error.to_string());
        for place in [format!("{root}/lib/libonnxruntime.so*"), format!("{root}/plugins/libonnxruntime.so*")]
        {
            assert!(message.contains(&place), "{message}");
        }
    }

    #[test]
    fn a_library_that_is_named_and_not_there_is_an_error_that_says_who_named_it() {
        let error = LibrarySearch::new().find_with(Some("/no/such.so"), None).unwrap_err();
        assert!(error.to_string().ends_with("looked for /no/such.so (option `library`)"), "{error}");
    }
}
