//! Echo does what every platform must. Alone in its process, whose threads and memory are looked at.
#![cfg(test)]

use std::path::Path;
use std::sync::Arc;

use salver_core_platform::Options;
use salver_core_tensor::DType;
use salver_platforms_conformance::{Subject, exceptions};
use salver_platforms_echo::Echo;

fn identity(dtype: DType, dims: &[i64], directory: &Path) -> std::io::Result<Option<Options>> {
    let input = format!("{{ name = 'x', dtype = '{}', shape = {dims:?} }}", dtype.name());
    let text = format!("[signatures.serving_default]\ninputs = [{input}]\noutputs = {{ y = 'x' }}\n");
    std::fs::write(directory.join("echo.toml"), text)?;
    Ok(Some(Options::new()))
}

#[test]
fn echo_does_what_every_platform_must() {
    let subject = Subject { identity: Some(&identity), ..Subject::new(Arc::new(Echo::new()), 0) };
    assert_eq!(exceptions(&subject), [""; 0]);
}
