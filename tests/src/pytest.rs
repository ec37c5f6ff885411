//! Clients in Python, as files of tests.

#![expect(clippy::expect_used, reason = "a helper of tests is a test too")]

use std::path::Path;
use std::process::Command;

use crate::root;

/// Runs a file of `tests/python/`.
pub fn pytest(python: &Path, file: &str) -> Command {
    let folder = root().join("tests/python");
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", file]).current_dir(folder);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("SALVER_ROOT", root());
    command
}

/// Fails where a test of the file does, or where it has none, so that nobody takes a file without tests for one that passed.
pub fn check_pytest(pytest: &mut Command) {
    let output = pytest.output().expect("running Python");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(" passed"), "{said}");
}
