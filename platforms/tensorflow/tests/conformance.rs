//! TensorFlow does what every platform's models must. Alone in its process, whose threads and memory are looked at.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_core_platform::OptionValue;
use salver_platforms_conformance::{Subject, exceptions};
use salver_platforms_tensorflow::{LibrarySearch, TensorFlow};

/// TensorFlow's library, from the environment or where `cargo xtask fetch tensorflow` puts it; `None`, and a printed
/// reason, where it is not there.
fn library() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || variable("SALVER_CACHE").or_else(|| Some(variable("HOME")?.join(".cache/salver")));
    let fetched = || Some(cache()?.join("tensorflow-2.21.0/libtensorflow_cc.so.2"));
    let library = variable("SALVER_TENSORFLOW_LIBRARY").or_else(fetched).filter(|path| path.is_file());
    if library.is_none() {
        println!("skipped: no TensorFlow; `cargo xtask fetch tensorflow` gets it");
    }
    library
}

#[test]
fn tensorflow_does_what_every_platform_must() {
    let Some(library) = library() else { return };
    const THREADS: usize = 2;
    // A signature for each element type, whose output is its input of any shape.
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/identity");
    let platform = TensorFlow::new(LibrarySearch::new(), THREADS);
    let mut subject = Subject { model: Some(model), ..Subject::new(Arc::new(platform), THREADS) };
    subject.options.set("library", OptionValue::Text(library.to_string_lossy().into_owned()));
    let identity = ["element-types", "ranks", "empty-dimensions", "dynamic-shapes", "strings"];
    let skipped = identity.map(|case| format!("skipped {case}: needs models that return their input"));
    assert_eq!(exceptions(&subject), skipped);
}
