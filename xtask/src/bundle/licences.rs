//! The licences of what is in a bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::workspace::{cargo, output, root};

/// Writes our licence, and the list of crates that the packages are made of.
pub(super) fn write(folder: &Path, packages: &[String], target: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    fs::copy(root().join("LICENSE"), folder.join("LICENSE")).context("copying LICENSE")?;
    let metadata = output(&mut cargo(["metadata", "--format-version=1", "--filter-platform", target]))?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("reading cargo's metadata")?;
    fs::write(folder.join("rust-crates.txt"), list(&metadata, packages)).context("writing the list of crates")
}

/// The part of `cargo metadata` that is read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    /// Where it came from; nothing for a crate of this workspace.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// Nothing, `build` or `dev`.
    kind: Option<String>,
}

/// A line for each foreign crate that the packages depend on, directly or not.
fn list(metadata: &Metadata, packages: &[String]) -> String {
    let nodes: BTreeMap<_, _> = metadata.resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut to_visit: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| packages.contains(&package.name))
        .map(|package| &package.id)
        .collect();
    let mut shipped = BTreeSet::new();
    while let Some(id) = to_visit.pop() {
        if !shipped.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).map(|node| node.deps.as_slice()).unwrap_or_default();
        let is_shipped =
            |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        to_visit.extend(dependencies.iter().filter(is_shipped).map(|dependency| &dependency.pkg));
    }

    let mut lines = BTreeSet::new();
    for package in
        metadata.packages.iter().filter(|package| package.source.is_some() && shipped.contains(&package.id))
    {
        let mut line = format!("{} {}", package.name, package.version);
        let _ = write!(line, ": {}", package.license.as_deref().unwrap_or("see its repository"));
        if let Some(repository) = &package.repository {
            let _ = write!(line, ", {repository}");
        }
        lines.insert(line);
    }
    let mut text = "The programs and plugins in this folder are built from Salver, Rust's standard library\n\
        (MIT OR Apache-2.0, https://github.com/rust-lang/rust) and these crates of crates.io:\n\n"
        .to_owned();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_is_listed_and_what_only_builds_or_tests_is_not() {
        let metadata = r#"{
            "packages": [
                {"id": "s", "name": "salver", "version": "0.1.0", "source": null},
                {"id": "a", "name": "a", "version": "1.0.0", "license": "MIT", "repository": "https://a", "source": "r"},
                {"id": "b", "name": "b", "version": "2.0.0", "license": null, "source": "r"},
                {"id": "t", "name": "t", "version": "3.0.0", "license": "MIT", "source": "r"}
            ],
            "resolve": {"nodes": [
                {"id": "s", "deps": [
                    {"pkg": "a", "dep_kinds": [{"kind": "build"}, {"kind": null}]},
                    {"pkg": "t", "dep_kinds": [{"kind": "dev"}]}
                ]},
                {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]}]},
                {"id": "b", "deps": []},
                {"id": "t", "deps": []}
            ]}
        }"#;
        let listed = list(&serde_json::from_str(metadata).unwrap(), &["salver".to_owned()]);
        let (_, crates) = listed.split_once("\n\n").unwrap();
        assert_eq!(crates, "a 1.0.0: MIT, https://a\nb 2.0.0: see its repository\n");
    }
}
