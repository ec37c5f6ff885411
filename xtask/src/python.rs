//! The Python that the demo and the end-to-end tests call the server with.
//!
//! A virtual environment in the cache with the clients of `tests/python/requirements*.txt` and the stubs that `grpc_tools`
//! makes of `proto/proto/`. It needs `python3` and its pip, and no module beyond: some distributions pack the one that
//! puts pip into a virtual environment separately, so pip installs into it from outside.
//!
//! TensorFlow Serving's own client is among them, without the TensorFlow that it asks for: the few messages it imports
//! are made of our files, and of those in `tests/python/protos/` that we have no other use for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::cache::Cache;
use crate::hash;
use crate::workspace::{output, root, run};

/// The interpreter of the environment, which is made if it is not there yet.
///
/// # Errors
/// Where `python3` is missing or too old, and where packages cannot be fetched.
pub(crate) fn interpreter() -> anyhow::Result<PathBuf> {
    let version = host_version()?;
    let requirements = root().join("tests/python/requirements.txt");
    let tensorflow_serving = root().join("tests/python/requirements-tfserving.txt");
    // The first place that has a file of that name counts.
    let sources = [root().join("tests/python/protos"), root().join("proto/proto")];
    let messages = messages(&sources)?;
    let mut stamp = version.clone();
    for file in [&requirements, &tensorflow_serving].into_iter().chain(messages.values()) {
        stamp += &hash::of_file(file)?;
    }
    let stamp = hash::of_bytes(stamp.as_bytes());

    // Checkouts that differ have environments that differ, side by side.
    let name = format!("python-{version}-{}", stamp.get(..12).unwrap_or_default());
    let environment = Cache::from_env()?
        .folder(&name, &stamp, |folder, _| {
            println!("making a Python environment with the clients (once)");
            run(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(folder))?;
            let python = folder.join("bin/python");
            let packages = "import sysconfig; print(sysconfig.get_path('purelib'))";
            let packages = output(Command::new(&python).args(["-c", packages]))?;
            let install = |requirements: &Path, extra: &[&str]| {
                run(Command::new("python3")
                    .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                    .args(["--require-hashes", "--no-warn-script-location", "--target", &packages])
                    .args(extra)
                    // That is about the system's packages, and these are elsewhere.
                    .env("PIP_ROOT_USER_ACTION", "ignore")
                    .arg("--requirement")
                    .arg(requirements))
            };
            install(&requirements, &[])?;
            install(&tensorflow_serving, &["--no-deps"])?;
            run(Command::new(&python)
                .args(["-m", "grpc_tools.protoc", "--python_out", &packages, "--grpc_python_out", &packages])
                .args(sources.iter().map(|source| format!("--proto_path={}", source.display())))
                .args(messages.values()))
        })
        .context("making the Python environment")?;
    Ok(environment.join("bin/python"))
}

/// The version of `python3`, such as `3.11`.
fn host_version() -> anyhow::Result<String> {
    let ask = "import sys; print('%d.%d' % sys.version_info[:2]); assert sys.version_info >= (3, 10)";
    let version =
        output(Command::new("python3").args(["-c", ask])).context("Python 3.10 or newer is needed")?;
    if !version.starts_with("3.") {
        bail!("python3 says its version is `{version}`");
    }
    Ok(version)
}

/// The files to make stubs of, by their path within the first of the folders that has them. What the package of
/// TensorFlow Serving brings is not made again: it is to be tested as its users have it.
fn messages(sources: &[PathBuf]) -> anyhow::Result<BTreeMap<PathBuf, PathBuf>> {
    let mut messages = BTreeMap::new();
    for source in sources {
        for file in protos(source)? {
            let name = file.strip_prefix(source)?.to_owned();
            if !name.starts_with("tensorflow_serving") {
                messages.entry(name).or_insert(file);
            }
        }
    }
    Ok(messages)
}

/// Every `.proto` file below `dir`, sorted.
fn protos(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
