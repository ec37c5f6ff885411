//! Libtorch does what every platform must. Alone in its process, whose threads and memory are looked at.
#![cfg(test)]
#![cfg(not(feature = "check-only"))]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use salver_core_platform::{OptionValue, Options};
use salver_core_tensor::DType;
use salver_platforms_conformance::{Subject, exceptions};
use salver_platforms_libtorch::Libtorch;

/// The module that returns its input, of any type that libtorch has.
fn identity(dtype: DType, dims: &[i64], directory: &Path) -> std::io::Result<Option<Options>> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/identity.pt");
    fs::copy(module, directory.join("model.pt"))?;
    let tensor = format!("{{ name = \"x\", dtype = \"{}\", shape = {dims:?} }}", dtype.name());
    let mut options = Options::new();
    options.set("signature", OptionValue::Text(format!("inputs = [{tensor}]")));
    let is_missing = matches!(
        dtype,
        DType::U16
            | DType::U32
            | DType::U64
            | DType::String
            | DType::QI8
            | DType::QU8
            | DType::QI16
            | DType::QU16
            | DType::QI32
    );
    Ok((!is_missing).then_some(options))
}

#[test]
fn libtorch_does_what_every_platform_must() {
    const THREADS: usize = 2;
    let platform = Libtorch::new(THREADS);
    let subject = Subject { identity: Some(&identity), ..Subject::new(Arc::new(platform), THREADS) };
    assert_eq!(exceptions(&subject), ["skipped strings: the framework has no strings"]);
}
