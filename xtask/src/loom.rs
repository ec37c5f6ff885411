//! `cargo xtask loom`: runs the models of what is shared without locks.
//!
//! A crate that has models depends on loom for `cfg(loom)`; its tests with that set are the models.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::test::{Tally, count};
use crate::workspace::{cargo, root, target};

pub(crate) fn run() -> anyhow::Result<()> {
    let mut tally = Tally::default();
    count(&mut models()?, &mut tally)?;
    tally.conclude()
}

/// Cargo, set to run the models of every crate that has some.
pub(crate) fn models() -> anyhow::Result<Command> {
    let packages = packages(root())?;
    ensure!(!packages.is_empty(), "no crate of the workspace depends on loom for `cfg(loom)`");
    let mut models = cargo(["test", "--no-fail-fast", "--release", "--lib"]);
    models.args(packages.iter().flat_map(|package| ["--package", package]));
    // Another build of the same crates: in a place of its own, so that neither drives the other out.
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    models.env("RUSTFLAGS", format!("{flags} --cfg loom")).env("CARGO_TARGET_DIR", target().join("loom"));
    // Models run for seconds; what it takes to link them in one piece would not come back.
    models.env("CARGO_PROFILE_RELEASE_LTO", "off");
    Ok(models)
}

/// The packages of the workspace that have models.
fn packages(root: &Path) -> anyhow::Result<Vec<String>> {
    let workspace = manifest(root)?;
    let members = workspace.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    let members = members.context("the workspace has no members")?;
    let mut packages = Vec::new();
    for member in members.iter().filter_map(|member| member.as_str()) {
        let manifest = manifest(&root.join(member))?;
        let on_loom = manifest.get("target").and_then(|target| target.get("cfg(loom)"));
        let name = manifest.get("package").and_then(|package| package.get("name")?.as_str());
        packages.extend(name.filter(|_| on_loom.is_some()).map(str::to_owned));
    }
    Ok(packages)
}

fn manifest(folder: &Path) -> anyhow::Result<toml::Table> {
    let file = folder.join("Cargo.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    text.parse().with_context(|| format!("reading {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_has_models_where_it_depends_on_loom_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n");
        write("a/Cargo.toml", "[package]\nname = \"x-a\"\n[target.'cfg(not(loom))'.dependencies]\n");
        write("b/Cargo.toml", "[package]\nname = \"x-b\"\n[target.'cfg(loom)'.dependencies]\nloom = \"0\"\n");
        assert_eq!(packages(dir.path()).unwrap(), ["x-b"]);
    }
}
