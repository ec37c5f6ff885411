//! A platform does behind the plugin interface what every platform must. Alone in its process, whose threads and memory are
//! looked at.

mod support;

use std::path::Path;
use std::sync::Arc;

use salver_core_platform::Options;
use salver_core_tensor::DType;
use salver_platforms_conformance::{Subject, exceptions};
use salver_plugins_host::{HostServices, Plugins};
use support::*;

fn identity(dtype: DType, dims: &[i64], directory: &Path) -> std::io::Result<Option<Options>> {
    let input = format!("{{ name = 'x', dtype = '{}', shape = {dims:?} }}", dtype.name());
    let text = format!("[signatures.serving_default]\ninputs = [{input}]\noutputs = {{ y = 'x' }}\n");
    std::fs::write(directory.join("echo.toml"), text)?;
    Ok(Some(Options::new()))
}

#[test]
fn echo_does_as_a_plugin_what_every_platform_must() {
    const THREADS: usize = 2;
    let plugins = Plugins::new(HostServices { cpu_threads: THREADS, ..HostServices::default() });
    plugins.open(&cdylib("salver-platforms-echo-plugin")).unwrap();
    let platform = Arc::clone(&plugins.platforms()[0]);
    let subject = Subject { identity: Some(&identity), ..Subject::new(platform, THREADS) };
    assert_eq!(exceptions(&subject), [""; 0]);
}
