//! The table of framework libraries: `xtask/libraries.toml`.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The table as it was when this program was built.
const TABLE: &str = include_str!("../libraries.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    library: Vec<Library>,
}

/// One library: what it is called, and the wheel it comes out of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Library {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Fetched only when it is named.
    #[serde(default)]
    pub(crate) optional: bool,
    pub(crate) wheel: Wheel,
    pub(crate) files: Vec<Member>,
    /// What is made of the files, after they are unpacked.
    pub(crate) make: Option<Making>,
    /// Further libraries that must lie beside it.
    #[serde(default, rename = "with")]
    pub(crate) companions: Vec<String>,
    target: BTreeMap<String, Pin>,
}

/// What is made of the files of a library.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Making {
    /// The rest of what a program that is linked with libtorch needs, without CUDA.
    Libtorch,
    /// The same with CUDA.
    LibtorchCuda,
}

/// A wheel's package on PyPI and the Python it is for, such as `311`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wheel {
    pub(crate) package: String,
    pub(crate) python: String,
}

/// A file that is taken out of the wheel, and where it goes; or a folder, which `from` ends with a slash for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) from: String,
    pub(crate) to: PathBuf,
}

/// The wheel for one processor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    pub(crate) tag: String,
    pub(crate) sha256: String,
}

impl Library {
    /// Its folder in the cache, such as `onnxruntime-1.31.1`.
    pub(crate) fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// The wheel for this machine's processor.
    ///
    /// # Errors
    /// Where none is pinned.
    pub(crate) fn pin(&self) -> anyhow::Result<&Pin> {
        self.pin_for(ARCH)
    }

    fn pin_for(&self, arch: &str) -> anyhow::Result<&Pin> {
        self.target.get(arch).with_context(|| {
            let known: Vec<_> = self.target.keys().map(String::as_str).collect();
            format!("no {} is pinned for {arch}, only for {}", self.name, known.join(", "))
        })
    }
}

/// All libraries, in the order of the table.
///
/// # Errors
/// Where the table is not what it should be.
pub(crate) fn all() -> anyhow::Result<Vec<Library>> {
    Ok(toml::from_str::<Table>(TABLE).context("reading xtask/libraries.toml")?.library)
}

/// The library of that name.
///
/// # Errors
/// Where there is none; the error lists those that there are.
pub(crate) fn named(name: &str) -> anyhow::Result<Library> {
    let all = all()?;
    let Some(library) = all.iter().find(|library| library.name == name) else {
        let known: Vec<_> = all.iter().map(|library| library.name.as_str()).collect();
        bail!("there is no library `{name}`; there is: {}", known.join(", "));
    };
    Ok(library.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_is_pinned_by_a_whole_hash_and_comes_with_its_licence() {
        for library in all().unwrap() {
            for pin in library.target.values() {
                assert_eq!(pin.sha256.len(), 64, "{}", library.name);
                assert!(
                    pin.sha256.bytes().all(|byte| b"0123456789abcdef".contains(&byte)),
                    "{}",
                    library.name
                );
            }
            assert!(library.pin_for("x86_64").is_ok(), "{}", library.name);
            assert!(library.files.iter().any(|file| file.to.starts_with("licences")), "{}", library.name);
        }
    }

    #[test]
    fn what_a_library_needs_beside_it_is_in_the_table() {
        for library in all().unwrap() {
            for companion in &library.companions {
                assert!(named(companion).unwrap().companions.is_empty(), "{companion} of {}", library.name);
            }
        }
    }

    #[test]
    fn a_library_or_processor_that_is_not_in_the_table_is_refused_with_what_is() {
        let error = named("onnxrutnime").unwrap_err().to_string();
        let known = "there is no library `onnxrutnime`; there is: onnxruntime, libtorch, ";
        assert!(error.starts_with(known), "{error}");
        let error = named("onnxruntime").unwrap().pin_for("riscv64").unwrap_err().to_string();
        assert_eq!(error, "no onnxruntime is pinned for riscv64, only for aarch64, x86_64");
    }
}
