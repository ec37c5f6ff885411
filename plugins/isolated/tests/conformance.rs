//! A platform does in a process of its own what every platform must. Alone in its process, whose threads and memory are
//! looked at.

#[path = "../../host/tests/support/mod.rs"]
mod support;

use std::path::Path;

use salver_core_platform::Options;
use salver_core_tensor::DType;
use salver_platforms_conformance::{Subject, exceptions};
use salver_plugins_host::HostServices;
use salver_plugins_isolated::{Isolation, Program};
use support::cdylib;

fn identity(dtype: DType, dims: &[i64], directory: &Path) -> std::io::Result<Option<Options>> {
    let input = format!("{{ name = 'x', dtype = '{}', shape = {dims:?} }}", dtype.name());
    let text = format!("[signatures.serving_default]\ninputs = [{input}]\noutputs = {{ y = 'x' }}\n");
    std::fs::write(directory.join("echo.toml"), text)?;
    Ok(Some(Options::new()))
}

#[test]
fn echo_does_in_processes_of_its_own_what_every_platform_must() {
    const THREADS: usize = 2;
    let program = Program { path: env!("CARGO_BIN_EXE_salver-worker").into(), arguments: Vec::new() };
    let services = HostServices { cpu_threads: THREADS, ..HostServices::default() };
    let isolation = Isolation::new(program, services).unwrap();
    let platform = isolation.platform("echo", &cdylib("salver-platforms-echo-plugin"), None);
    let subject = Subject { identity: Some(&identity), ..Subject::new(platform, THREADS) };
    // Each of eight models has a thread that waits for its process, whatever the server allows its plugins.
    let exceptions = exceptions(&subject);
    let [threads] = exceptions.as_slice() else { panic!("{exceptions:?}") };
    assert!(threads.starts_with("failed threads: 8 models start 8 threads, 0 are there when"), "{threads}");
}
