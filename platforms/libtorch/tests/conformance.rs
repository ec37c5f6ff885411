//! Libtorch does what every platform must. Alone in its process, whose threads and memory are looked at.
#![cfg(test)]
#![cfg(not(feature = "check-only"))]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use salver_core_platform::{LoadRequest, Model, OptionValue, Platform, Probe};
use salver_core_status::Status;
use salver_core_tensor::DType;
use salver_platforms_conformance::{Subject, exceptions};
use salver_platforms_libtorch::Libtorch;

/// Loads as the server does: with what a file says of the signature.
struct WithSignature(Libtorch);

const SIGNATURE: &str = "signature.toml";

impl Platform for WithSignature {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn probe(&self, directory: &Path) -> Probe {
        self.0.probe(directory)
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        let signature = fs::read(request.directory.join(SIGNATURE)).unwrap_or_default();
        let signature = String::from_utf8_lossy(&signature).into_owned();
        let mut options = request.options.clone();
        options.set("signature", OptionValue::Text(signature));
        self.0.load(&LoadRequest { options: &options, ..*request })
    }

    fn trim(&self) {
        self.0.trim();
    }
}

/// The module that returns its input, of any type that libtorch has.
fn identity(dtype: DType, dims: &[i64], directory: &Path) -> std::io::Result<bool> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/identity.pt");
    fs::copy(module, directory.join("model.pt"))?;
    let tensor = format!("{{ name = \"x\", dtype = \"{}\", shape = {dims:?} }}", dtype.name());
    fs::write(directory.join(SIGNATURE), format!("inputs = [{tensor}]"))?;
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
    Ok(!is_missing)
}

#[test]
fn libtorch_does_what_every_platform_must() {
    const THREADS: usize = 2;
    let platform = WithSignature(Libtorch::new(THREADS));
    let subject = Subject { identity: Some(&identity), ..Subject::new(Arc::new(platform), THREADS) };
    assert_eq!(exceptions(&subject), ["skipped strings: the framework has no strings"]);
}
