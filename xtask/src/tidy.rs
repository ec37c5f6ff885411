//! `cargo xtask tidy`: checks that the repository is as it says, where the compiler does not look.
//!
//! [`rules`] holds the tables; [`crates`] checks manifests against them, [`sources`] checks files, [`book`] what
//! the book quotes. It is a test of this
//! crate as well.

mod book;
mod crates;
mod rules;
mod sources;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace::root;
use crates::Crate;

/// What is not as it should be, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: PathBuf,
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

pub(crate) fn run() -> anyhow::Result<()> {
    let report = check(root())?;
    for hint in &report.hints {
        println!("hint: {hint}");
    }
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    match report.findings.len() {
        0 => Ok(()),
        1 => bail!("1 thing is not tidy"),
        n => bail!("{n} things are not tidy"),
    }
}

/// All that was found; hints fail nothing.
#[derive(Debug, Default)]
struct Report {
    findings: Vec<Finding>,
    hints: Vec<Finding>,
}

/// Checks the repository at `root`.
fn check(root: &Path) -> anyhow::Result<Report> {
    let crates = Crate::all(root)?;
    let mut report = Report::default();
    for each in &crates {
        each.check(&crates, &mut report.findings);
        for source in each.sources(root, &crates)? {
            let text = fs::read_to_string(root.join(&source));
            let text = text.with_context(|| format!("reading {}", source.display()))?;
            sources::check(&source, &text, &mut report);
        }
    }
    check_code_map(root, &crates, &mut report.findings);
    book::check(root, &mut report.findings).context("reading docs")?;
    report.findings.sort();
    Ok(report)
}

/// ARCHITECTURE.md has a line for every crate, with its path and its description.
fn check_code_map(root: &Path, crates: &[Crate], findings: &mut Vec<Finding>) {
    let file = PathBuf::from("ARCHITECTURE.md");
    let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
    for each in crates {
        let path = format!("`{}`", each.path);
        if !text.lines().any(|line| line.contains(&path) && line.contains(&each.description)) {
            let message = format!("has no line with {path} and its description: {}", each.description);
            findings.push(Finding { file: file.clone(), line: 1, message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes files and checks them as a repository; what was found, a line each.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        check(dir.path()).unwrap().findings.iter().map(ToString::to_string).collect()
    }

    /// A repository of two crates, `core/status` and one at `path` with these dependencies and this source.
    fn found_in(path: &str, dependencies: &str, source: &str) -> Vec<String> {
        let manifest = |path: &str, more: &str| {
            let name = path.replace('/', "-");
            format!(
                "[package]\nname = \"salver-{name}\"\ndescription = \"The {name}.\"\n{more}\n[lints]\nworkspace = true\n"
            )
        };
        let name = path.replace('/', "-");
        let map = format!("- `core/status` The core-status.\n- `{path}` The {name}.\n");
        found(&[
            ("Cargo.toml", &format!("[workspace]\nmembers = [\"core/status\", \"{path}\"]\n")),
            ("ARCHITECTURE.md", &map),
            ("core/status/Cargo.toml", &manifest("core/status", "")),
            ("core/status/src/lib.rs", "//! The core-status.\n"),
            (&format!("{path}/Cargo.toml"), &manifest(path, dependencies)),
            (&format!("{path}/src/lib.rs"), &format!("//! The {name}.\n{source}")),
        ])
    }

    #[test]
    fn this_repository_is_tidy() {
        let findings = check(root()).unwrap().findings;
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }

    #[test]
    fn a_tidy_repository_has_no_findings() {
        let dependencies =
            "[dependencies]\nsalver-core-status.workspace = true\narc-swap = { workspace = true }\n";
        assert_eq!(found_in("manager/map", dependencies, "fn f() {}\n"), [""; 0]);
    }

    #[test]
    fn a_dependency_against_the_design_is_found_with_its_line() {
        // The second crate names itself, and stands for any of `server`.
        let sideways = "[dependencies]\nsalver-server-json.workspace = true\n";
        assert_eq!(
            found_in("server/json", sideways, ""),
            ["server/json/Cargo.toml:5: `server/json` may not depend on `server/json`"]
        );
    }

    #[test]
    fn a_runtime_in_the_manager_is_found_even_for_tests() {
        assert_eq!(
            found_in("manager/map", "[dev-dependencies]\ntokio.workspace = true\n", ""),
            [
                "manager/map/Cargo.toml:5: `tokio` may be used in manager/source-object-store, server, examples, tests, benches only"
            ]
        );
        assert_eq!(
            found_in("platforms/x", "[target.'cfg(unix)'.dependencies]\ntonic-health.workspace = true\n", ""),
            [
                "platforms/x/Cargo.toml:5: `tonic-health` may be used in server, proto, xtask/codegen, tests, benches only"
            ]
        );
    }

    #[test]
    fn a_version_outside_the_workspace_table_is_found() {
        assert_eq!(
            found_in("server/x", "[dependencies]\nbytes = \"1\"\n", ""),
            [
                "server/x/Cargo.toml:5: `bytes` must take its version from the workspace: `bytes.workspace = true`"
            ]
        );
    }

    #[test]
    fn unsafe_is_found_outside_the_crates_that_may() {
        let source = "#![expect(unsafe_code, reason = \"speed\")]\n";
        assert_eq!(
            found_in("manager/map", "", source),
            [
                "manager/map/src/lib.rs:2: unsafe code belongs in the crates that xtask/src/tidy/rules.rs lists"
            ]
        );
        assert_eq!(found_in("plugins/abi", "", source), [""; 0]);
    }

    #[test]
    fn a_sleep_is_found_in_tests_and_only_there() {
        let sleep = format!("fn f() {{ std::thread::{}(PAUSE) }}\n", "sleep");
        assert_eq!(found_in("server/x", "", &sleep), [""; 0]);
        let in_tests = format!("#[cfg(test)]\nmod tests {{\n    {sleep}}}\n");
        assert_eq!(
            found_in("server/x", "", &in_tests),
            ["server/x/src/lib.rs:4: a test waits for an event or holds the clock; it does not sleep"]
        );
    }

    #[test]
    fn a_crate_that_does_not_say_what_it_is_is_found_in_all_places() {
        let manifest = "[package]\nname = \"salver-x\"\ndescription = \"One thing.\"\n";
        assert_eq!(
            found(&[
                ("Cargo.toml", "[workspace]\nmembers = [\"server/x\"]\n"),
                ("server/x/Cargo.toml", manifest),
                ("server/x/src/lib.rs", "//! Another thing.\n"),
                ("server/x/src/more.rs", "fn f() {}\n"),
            ]),
            [
                "ARCHITECTURE.md:1: has no line with `server/x` and its description: One thing.",
                "server/x/Cargo.toml:1: must take its lints from the workspace: `[lints] workspace = true`",
                "server/x/Cargo.toml:2: must be called `salver-server-x`, after its path",
                "server/x/src/lib.rs:1: must begin with the crate's description: One thing.",
                "server/x/src/more.rs:1: must open with `//!` and a sentence on what lives here",
            ]
        );
    }
}
