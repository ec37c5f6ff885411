//! What a bundle says of itself: `manifest.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::hash;
use crate::libraries::Library;
use crate::workspace;

/// The name of the file.
pub(crate) const FILE: &str = "manifest.json";

/// The contents of the file.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest {
    name: &'static str,
    version: &'static str,
    target: String,
    profile: &'static str,
    libraries: Vec<Packed>,
    files: Vec<File>,
}

/// A framework library, and the wheel that it came out of.
#[derive(Debug, Serialize)]
struct Packed {
    name: String,
    version: String,
    wheel_sha256: String,
}

/// A file by its path in the bundle, its size in bytes and its hash.
#[derive(Debug, Serialize)]
struct File {
    path: String,
    /// The platform that it is there for, or `server`.
    layer: String,
    size: u64,
    sha256: String,
}

/// Whether the file at `path` is a manifest of a bundle, and not some other program's of the same name.
pub(super) fn is_ours(path: &Path) -> bool {
    let Ok(text) = fs::read(path) else { return false };
    let Ok(found) = serde_json::from_slice::<serde_json::Value>(&text) else { return false };
    found.get("name").is_some_and(|name| name == "salver") && found.get("files").is_some()
}

impl Manifest {
    pub(super) fn new(debug: bool) -> anyhow::Result<Self> {
        Ok(Self {
            name: "salver",
            version: env!("CARGO_PKG_VERSION"),
            target: workspace::host_target()?,
            profile: if debug { "debug" } else { "release" },
            libraries: Vec::new(),
            files: Vec::new(),
        })
    }

    /// What the bundle is built for, such as `x86_64-unknown-linux-gnu`.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn add_library(&mut self, library: &Library) -> anyhow::Result<()> {
        self.libraries.push(Packed {
            name: library.name.clone(),
            version: library.version.clone(),
            wheel_sha256: library.pin()?.sha256.clone(),
        });
        Ok(())
    }

    /// Lists every file in the bundle, in the order of their paths.
    pub(super) fn add_files(
        &mut self,
        bundle: &Path,
        layer_of: impl Fn(&Path) -> String,
    ) -> anyhow::Result<()> {
        let mut folders = vec![bundle.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let inside = path.strip_prefix(bundle)?;
                self.files.push(File {
                    layer: layer_of(inside),
                    path: inside.to_string_lossy().into_owned(),
                    size: path.metadata()?.len(),
                    sha256: hash::of_file(&path)?,
                });
            }
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Moves every file into the folder of its layer.
    pub(super) fn separate(&self, bundle: &Path) -> anyhow::Result<()> {
        for file in &self.files {
            let to = bundle.join(&file.layer).join(&file.path);
            fs::create_dir_all(to.parent().unwrap_or(bundle))?;
            fs::rename(bundle.join(&file.path), &to).with_context(|| format!("moving {}", file.path))?;
        }
        for emptied in ["bin", "lib", "licences", "plugins"] {
            crate::cache::remove(&bundle.join(emptied))?;
        }
        Ok(())
    }

    pub(super) fn write(&self, bundle: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(bundle.join(FILE), text).context("writing the manifest")
    }
}

impl fmt::Display for Manifest {
    /// A line per file with its size, one per layer, and the sum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(f, "{:>9}  {}", megabytes(file.size), file.path)?;
        }
        let mut layers = BTreeMap::new();
        for file in &self.files {
            *layers.entry(&*file.layer).or_insert(0) += file.size;
        }
        for (layer, size) in layers {
            writeln!(f, "{:>9}  layer {layer}", megabytes(size))?;
        }
        writeln!(f, "{:>9}  in all", megabytes(self.files.iter().map(|file| file.size).sum()))
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_by_path_with_its_size_and_hash() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/salver"), "abc").unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        let mut manifest = Manifest::new(false).unwrap();
        manifest.add_files(dir.path(), |_| "server".to_owned()).unwrap();
        let listed: Vec<_> = manifest.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!(listed, [("a", 0), ("bin/salver", 3)]);
        assert_eq!(manifest.files[1].sha256, hash::of_bytes(b"abc"));
    }
}
