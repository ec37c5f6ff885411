//! Libraries of other times: built against the first tables, or against tables to come.

#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

mod support;

use salver_core_platform::{Options, Probe};
use salver_core_status::Code;
use support::*;

/// Compiles the frozen plugin, and uses all of it.
fn serves(flags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let source = plugins_folder().join("host/tests/frozen/v1.c");
    let frozen = platform(&compile(&source, flags, folder.path()));
    assert_serves(&*frozen, "line.txt");
    assert_eq!(frozen.probe(folder.path()), Probe::NoMatch { reason: "no file `line.txt`".to_owned() });
    let missing = load(&*frozen, folder.path(), &Options::new()).err().unwrap();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "no file `line.txt`"));
}

#[test]
fn a_library_with_the_first_tables_still_serves() {
    serves(&[]);
}

#[test]
fn a_library_that_offers_and_asks_for_tables_to_come_serves() {
    serves(&["-DLATER"]);
}
