//! Checks of Rust files, line by line.

use std::path::Path;

use super::rules::{LONG, MAY_BE_UNSAFE, fits};
use super::{Finding, Report};

/// Checks one file.
pub(super) fn check(file: &Path, text: &str, report: &mut Report) {
    let path = file.to_string_lossy();
    let finding =
        |line: usize, message: &str| Finding { file: file.to_owned(), line, message: message.to_owned() };
    // What `tests.rs` tests is said by the file above it.
    if !text.starts_with("//! ") && !file.ends_with("tests.rs") {
        report.findings.push(finding(1, "must open with `//!` and a sentence on what lives here"));
    }
    let may_be_unsafe = MAY_BE_UNSAFE.iter().any(|folder| fits(folder, &path));
    let mut in_tests = is_test_file(file);
    for (line, number) in text.lines().zip(1..) {
        let code = line.split("//").next().unwrap_or_default().trim_start();
        in_tests |= code.starts_with("mod ") && code.contains("tests {");
        if in_tests && sleeps(code) {
            let message = "a test waits for an event or holds the clock; it does not sleep";
            report.findings.push(finding(number, message));
        }
        if !may_be_unsafe && code.starts_with('#') && code.contains("(unsafe_code") {
            let message = "unsafe code belongs in the crates that xtask/src/tidy/rules.rs lists";
            report.findings.push(finding(number, message));
        }
    }
    let lines = text.lines().count();
    if lines > LONG {
        report.hints.push(finding(lines, "is long: is there a second idea in it?"));
    }
}

/// Whether everything in a file is a test.
fn is_test_file(file: &Path) -> bool {
    file.ends_with("tests.rs") || file.iter().any(|folder| folder == "tests")
}

fn sleeps(code: &str) -> bool {
    ["thread::sleep(", "time::sleep(", "park_timeout("].iter().any(|sleep| code.contains(sleep))
}
