//! The server and the plugins that are measured: those of the bundle in `SALVER_BUNDLE`, or else built beside this
//! program.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Names the folder that `cargo xtask bundle` made.
const BUNDLE: &str = "SALVER_BUNDLE";

/// The server.
pub(crate) fn server() -> anyhow::Result<PathBuf> {
    find("bin/salver", "salver-server-bin")
}

/// The echo platform's plugin.
pub(crate) fn echo_plugin() -> anyhow::Result<PathBuf> {
    find("plugins/libsalver_echo.so", "salver-platforms-echo-plugin")
}

/// The example plugin that decodes sequences.
pub(crate) fn decode_plugin() -> anyhow::Result<PathBuf> {
    build("libsalver_decode.so", "salver-plugins-examples-decode")
}

/// ONNX Runtime's plugin; `None` where there is no bundle, since it needs the library beside it.
pub(crate) fn onnxruntime_plugin() -> Option<PathBuf> {
    let path = bundle()?.join("plugins/libsalver_onnxruntime.so");
    path.is_file().then_some(path)
}

/// The plugin of this platform, of the bundle: it needs its library beside it.
pub(crate) fn plugin(platform: &str) -> anyhow::Result<PathBuf> {
    let bundle = bundle().with_context(|| format!("{BUNDLE} names no bundle"))?;
    let path = bundle.join(format!("plugins/libsalver_{platform}.so"));
    ensure!(path.is_file(), "{BUNDLE}: there is no `{}`", path.display());
    Ok(path)
}

/// `salver serve` on a free port, without models.
pub(crate) fn serve_command() -> anyhow::Result<Command> {
    let plugin = echo_plugin()?;
    let mut serve = Command::new(server()?);
    serve.args([
        "serve",
        "--host=127.0.0.1",
        "--port=0",
        "--log-level=info",
        "--log-format=text",
        "--plugin-dir",
    ]);
    serve.arg(plugin.parent().context("the echo plugin lies in a directory")?);
    Ok(serve)
}

/// The sample models.
pub(crate) fn digits_repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).with_file_name("examples").join("models")
}

fn bundle() -> Option<PathBuf> {
    std::env::var_os(BUNDLE).map(PathBuf::from)
}

/// The file at `path` in the bundle, or the file of that name that cargo makes of `package`.
fn find(path: &str, package: &str) -> anyhow::Result<PathBuf> {
    if let Some(bundle) = bundle() {
        let found = bundle.join(path);
        ensure!(found.is_file(), "{BUNDLE}: there is no `{}`", found.display());
        return Ok(found);
    }
    build(path, package)
}

/// The file of this name that cargo makes of `package`.
fn build(path: &str, package: &str) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--release", "--package", package]);
    let status = build.status().with_context(|| format!("building {package}"))?;
    ensure!(status.success(), "building {package} failed, and {BUNDLE} names no bundle to take it from");
    // Cargo puts what it builds beside this program, where both are of the release profile.
    let this = std::env::current_exe().context("looking for this program")?;
    let name = PathBuf::from(path);
    let found = this.with_file_name(name.file_name().unwrap_or_default());
    ensure!(found.is_file(), "{package} was built, and is not at `{}`", found.display());
    Ok(found)
}
