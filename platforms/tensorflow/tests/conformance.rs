//! TensorFlow does what every platform's models must. Alone in its process, whose threads and memory are looked at.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_core_platform::{OptionValue, Options};
use salver_core_tensor::DType;
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

/// The model with a signature for each element type that TensorFlow has, whose output is its input of any shape.
fn identity(dtype: DType, _dims: &[i64], directory: &Path) -> std::io::Result<Option<Options>> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/identity");
    std::fs::create_dir(directory.join("variables"))?;
    for file in ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"] {
        std::fs::copy(model.join(file), directory.join(file))?;
    }
    let is_there = !matches!(
        dtype,
        DType::QI8
            | DType::QU8
            | DType::QI16
            | DType::QU16
            | DType::QI32
            | DType::F8E4M3FN
            | DType::F8E4M3FNUZ
            | DType::F8E5M2
            | DType::F8E5M2FNUZ
    );
    Ok(is_there.then(Options::new))
}

#[test]
fn tensorflow_does_what_every_platform_must() {
    let Some(library) = library() else { return };
    const THREADS: usize = 2;
    let platform = TensorFlow::new(LibrarySearch::new(), THREADS);
    let mut subject = Subject { identity: Some(&identity), ..Subject::new(Arc::new(platform), THREADS) };
    subject.options.set("library", OptionValue::Text(library.to_string_lossy().into_owned()));
    assert_eq!(exceptions(&subject), [""; 0]);
}
