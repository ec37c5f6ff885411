//! A temporary repository of models.

#![expect(clippy::expect_used, reason = "this crate is there for tests alone")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// A folder of models that is removed in the end. Versions appear and disappear by renaming, as users are told to do.
#[derive(Debug)]
pub struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    /// An empty repository.
    #[expect(clippy::new_without_default, reason = "it makes a folder, which a default would hide")]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A repository with one version of one echo model.
    pub fn with_echo(model: &str, text: &str) -> Self {
        let repository = Self::new();
        repository.add_echo(model, 1, text);
        repository
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of a version.
    pub fn version(&self, model: &str, version: i64) -> PathBuf {
        self.path().join(model).join(version.to_string())
    }

    /// Adds a version of an echo model.
    pub fn add_echo(&self, model: &str, version: i64, text: &str) {
        self.add_file(model, version, "echo.toml", text.as_bytes());
    }

    /// Lets those go who wait in an echo model that is [`HELD`](crate::HELD).
    pub fn let_go(&self, model: &str, version: i64) {
        fs::write(self.version(model, version).join("go"), "").expect("writing a file");
    }

    /// Holds who comes after this, once [`let_go`](Self::let_go) let others go.
    pub fn hold(&self, model: &str, version: i64) {
        fs::remove_file(self.version(model, version).join("go")).expect("a file that is there");
    }

    /// Adds a version that has one file.
    pub fn add_file(&self, model: &str, version: i64, name: &str, content: &[u8]) {
        self.add(model, version, |folder| fs::write(folder.join(name), content).expect("writing a model"));
    }

    /// Adds the sample model, both its versions.
    pub fn add_digits(&self) {
        for version in [1, 2] {
            let model = root().join(format!("examples/models/digits/{version}/model.onnx"));
            let content = fs::read(model).expect("the sample model");
            self.add_file("digits", version, "model.onnx", &content);
        }
    }

    /// Adds a version of an ONNX model with so many bytes of weights, input `x` and output `y`, FP32 of any number of
    /// rows of 1,024.
    pub fn add_weights(&self, model: &str, version: i64, bytes: u64) {
        self.add(model, version, |folder| {
            salver_tests_weights::write_model(&folder.join("model.onnx"), bytes).expect("writing a model");
        });
    }

    /// Writes `model.toml` of a model.
    pub fn settings(&self, model: &str, text: &str) {
        fs::create_dir_all(self.path().join(model)).expect("making a folder");
        fs::write(self.path().join(model).join("model.toml"), text).expect("writing settings");
    }

    /// Takes a version away.
    pub fn remove(&self, model: &str, version: i64) {
        let hidden = self.hidden(model, version);
        fs::rename(self.version(model, version), &hidden).expect("a version to take away");
        fs::remove_dir_all(hidden).expect("removing a version");
    }

    fn add(&self, model: &str, version: i64, fill: impl FnOnce(&Path)) {
        let hidden = self.hidden(model, version);
        fs::create_dir_all(&hidden).expect("making a folder");
        fill(&hidden);
        fs::rename(hidden, self.version(model, version)).expect("a version that is not there yet");
    }

    fn hidden(&self, model: &str, version: i64) -> PathBuf {
        self.path().join(model).join(format!(".{version}.tmp"))
    }
}

/// Copies what is in a folder, and below, into another, which is made.
///
/// # Panics
/// Where that cannot be done.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("making a folder");
    for entry in fs::read_dir(from).expect("reading a folder") {
        let path = entry.expect("reading a folder").path();
        let place = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &place);
        } else {
            fs::copy(&path, place).expect("copying a file");
        }
    }
}
