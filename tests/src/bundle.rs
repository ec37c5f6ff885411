//! The bundle under test, and the Python whose clients call it.

use std::env;
use std::path::{Path, PathBuf};

/// A folder with `bin/salver`, `plugins/` and `lib/`, as `cargo xtask bundle` makes it.
#[derive(Clone, Debug)]
pub struct Bundle {
    path: PathBuf,
}

impl Bundle {
    /// The bundle in `$SALVER_BUNDLE`; `None`, with the reason printed, where that is not set.
    ///
    /// # Panics
    /// Where it is not set and `$CI` is `true`: there, every test runs. Where there is no server in it.
    pub fn from_env() -> Option<Self> {
        let path = required("SALVER_BUNDLE")?;
        let bundle = Self::at(path.canonicalize().unwrap_or(path));
        assert!(bundle.salver().is_file(), "SALVER_BUNDLE: {} is not a file", bundle.salver().display());
        Some(bundle)
    }

    /// The bundle in this folder.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program.
    pub fn salver(&self) -> PathBuf {
        self.path.join("bin/salver")
    }

    /// The library of the plugin with this name.
    pub fn plugin(&self, name: &str) -> PathBuf {
        self.path.join(format!("plugins/libsalver_{name}.so"))
    }
}

/// The Python in `$SALVER_PYTHON`, which has the clients of `tests/python/requirements*.txt`; `None` as for
/// [`Bundle::from_env`].
///
/// # Panics
/// As [`Bundle::from_env`].
pub fn python() -> Option<PathBuf> {
    required("SALVER_PYTHON")
}

fn required(variable: &str) -> Option<PathBuf> {
    let value = env::var_os(variable).filter(|value| !value.is_empty());
    if value.is_none() {
        skip(&format!("{variable} is not set; `cargo xtask test` sets it"));
    }
    value.map(PathBuf::from)
}

/// Says why a test does not run.
///
/// # Panics
/// Where `$CI` is `true`: there, every test runs.
#[expect(clippy::print_stderr, clippy::panic, reason = "this crate is there for tests alone")]
pub fn skip(reason: &str) {
    if env::var_os("CI").is_some_and(|ci| ci == "true") {
        panic!("{reason}");
    }
    eprintln!("skipped: {reason}");
}

/// The root of the repository of Salver's sources.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}
