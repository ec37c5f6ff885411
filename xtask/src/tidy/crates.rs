//! Checks of the crates' manifests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use toml::{Table, Value};

use super::Finding;
use super::rules::{CORE_KNOWS, FENCED, MAY_DEPEND, TESTS_MAY_DEPEND, fits};

/// One member of the workspace.
pub(super) struct Crate {
    /// Its folder from the root, such as `core/status`.
    pub(super) path: String,
    /// What its manifest says it is.
    pub(super) description: String,
    /// The first line of its documentation, and the file that holds it.
    opening: (PathBuf, String),
    text: String,
    manifest: Table,
}

/// A dependency as a manifest names it.
struct Dependency<'a> {
    name: &'a str,
    value: &'a Value,
    for_tests: bool,
}

impl Crate {
    /// Every member of the workspace, in its order.
    pub(super) fn all(root: &Path) -> anyhow::Result<Vec<Self>> {
        let workspace: Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
        let members = workspace.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
        let members = members.context("Cargo.toml lists no members")?;
        members.iter().filter_map(Value::as_str).map(|path| Self::read(root, path)).collect()
    }

    fn read(root: &Path, path: &str) -> anyhow::Result<Self> {
        let file = root.join(path).join("Cargo.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let manifest: Table = text.parse().with_context(|| format!("reading {}", file.display()))?;
        let description = manifest.get("package").and_then(|package| package.get("description")?.as_str());
        let sources = ["src/lib.rs", "src/main.rs"].map(|source| Path::new(path).join(source));
        let [library, program] = sources;
        let opened = if root.join(&library).is_file() { library } else { program };
        let source = fs::read_to_string(root.join(&opened)).unwrap_or_default();
        let first = source.lines().next().unwrap_or_default().to_owned();
        Ok(Self {
            path: path.to_owned(),
            description: description.unwrap_or_default().to_owned(),
            opening: (opened, first),
            text,
            manifest,
        })
    }

    /// The package's name after its path.
    fn name(&self) -> String {
        format!("salver-{}", self.path.replace('/', "-"))
    }

    /// Checks its manifest and its first line.
    pub(super) fn check(&self, all: &[Self], findings: &mut Vec<Finding>) {
        let mut find = |text: &str, message: String| findings.push(self.finding(text, message));
        let package = self.manifest.get("package");
        if package.and_then(|package| package.get("name")?.as_str()) != Some(&self.name()) {
            find("name", format!("must be called `{}`, after its path", self.name()));
        }
        let lints = self.manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        if lints != Some(true) {
            find("[lints]", "must take its lints from the workspace: `[lints] workspace = true`".to_owned());
        }
        for dependency in self.dependencies() {
            let name = dependency.name;
            if dependency.value.get("workspace").and_then(Value::as_bool) != Some(true) {
                let wanted = format!("`{name}.workspace = true`");
                find(name, format!("`{name}` must take its version from the workspace: {wanted}"));
            }
            if let Some(message) = self.refuse(&dependency, all) {
                find(name, message);
            }
        }
        let (file, first) = &self.opening;
        if self.description.is_empty() || first.strip_prefix("//! ") != Some(&self.description) {
            let message = format!("must begin with the crate's description: {}", self.description);
            findings.push(Finding { file: file.clone(), line: 1, message });
        }
    }

    /// Why this crate may not have the dependency, if it may not.
    fn refuse(&self, dependency: &Dependency, all: &[Self]) -> Option<String> {
        let name = dependency.name;
        let path = &self.path;
        if let Some(ours) = all.iter().find(|each| each.name() == name) {
            let Some((folder, allowed)) = MAY_DEPEND.iter().find(|(folder, _)| fits(folder, path)) else {
                return Some(format!("say in xtask/src/tidy/rules.rs what `{path}` may depend on"));
            };
            let for_tests = if dependency.for_tests { TESTS_MAY_DEPEND } else { &[] };
            let may = allowed.iter().chain(for_tests).any(|folder| fits(folder, &ours.path));
            return (!may).then(|| format!("`{folder}` may not depend on `{}`", ours.path));
        }
        if fits("core", path) && !CORE_KNOWS.contains(&name) {
            return Some(format!("`core` may not depend on `{name}`, only on {}", CORE_KNOWS.join(", ")));
        }
        let is_fenced = |fenced: &str| {
            name.strip_prefix(fenced).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let (_, homes) = FENCED.iter().find(|(fenced, _)| is_fenced(fenced))?;
        let at_home = homes.iter().any(|home| fits(home, path));
        (!at_home).then(|| format!("`{name}` may be used in {} only", homes.join(", ")))
    }

    /// Every dependency, of every kind and for every target.
    fn dependencies(&self) -> Vec<Dependency<'_>> {
        let targets = self.manifest.get("target").and_then(Value::as_table);
        let targets = targets.into_iter().flat_map(|targets| targets.values()).filter_map(Value::as_table);
        let mut found = Vec::new();
        for table in std::iter::once(&self.manifest).chain(targets) {
            for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
                let dependencies = table.get(kind).and_then(Value::as_table);
                let for_tests = kind == "dev-dependencies";
                for (name, value) in dependencies.into_iter().flatten() {
                    found.push(Dependency { name, value, for_tests });
                }
            }
        }
        found
    }

    /// A finding at the line of the manifest that begins with `text`, else at the first.
    fn finding(&self, text: &str, message: String) -> Finding {
        let line = self.text.lines().position(|line| line.starts_with(text)).map_or(1, |index| index + 1);
        Finding { file: Path::new(&self.path).join("Cargo.toml"), line, message }
    }

    /// Its Rust files from the root, without those of crates below it and without generated ones.
    pub(super) fn sources(&self, root: &Path, all: &[Self]) -> anyhow::Result<BTreeSet<PathBuf>> {
        let is_other = |folder: &Path| all.iter().any(|each| Path::new(&each.path) == folder);
        let mut sources = BTreeSet::new();
        let mut folders = vec![PathBuf::from(&self.path)];
        while let Some(folder) = folders.pop() {
            for entry in
                fs::read_dir(root.join(&folder)).with_context(|| format!("reading {}", folder.display()))?
            {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    let is_made = entry.file_name() == "gen" || entry.file_name() == "target";
                    if !is_made && !is_other(&path) {
                        folders.push(path);
                    }
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    sources.insert(path);
                }
            }
        }
        Ok(sources)
    }
}
