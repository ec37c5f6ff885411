//! What an open plugin does right.

mod support;

use salver_core_platform::{Options, Probe};
use salver_plugins_host::{Door, inspect};
use support::*;

#[test]
fn the_smallest_plugin_in_rust_serves() {
    let path = cdylib("salver-plugins-examples-minimal-rust");
    let inspection = inspect(&path).unwrap();
    assert_eq!((inspection.name.as_str(), inspection.door), ("minimal-rust", Door::Rust));
    assert_eq!((inspection.abi, inspection.platforms), (1, vec!["line".to_owned()]));
    let line = platform(&path);
    assert_serves_a_line(&*line);

    let empty = tempfile::tempdir().unwrap();
    assert_eq!(line.probe(empty.path()), Probe::NoMatch { reason: "no file `line.txt`".to_owned() });
    let missing = load(&*line, empty.path(), &Options::new()).err().unwrap();
    assert!(missing.message().contains("line.txt"), "{missing}");
}
