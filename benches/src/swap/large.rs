//! Large models.

use std::path::PathBuf;

use tempfile::TempDir;

/// Folders of models of one version, 1, each.
pub(super) struct Large {
    folder: TempDir,
}

/// A large model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    name: &'static str,
    /// Bytes of weights.
    pub(super) bytes: u64,
}

/// What is loaded beside a model that answers.
pub(super) const BESIDE: Size = Size { name: "beside", bytes: 512 << 20 };
/// What is loaded again and again.
pub(super) const CYCLED: Size = Size { name: "cycled", bytes: 256 << 20 };

impl Large {
    /// Writes them, to the end of the program.
    pub(super) fn write() -> anyhow::Result<Self> {
        let large = Self { folder: TempDir::new()? };
        for size in [BESIDE, CYCLED] {
            let version = large.model(size).join("1");
            std::fs::create_dir_all(&version)?;
            salver_tests_weights::write_model(&version.join("model.onnx"), size.bytes)?;
        }
        Ok(large)
    }

    /// The folder of a model's versions.
    pub(super) fn model(&self, size: Size) -> PathBuf {
        self.folder.path().join(size.name)
    }
}
