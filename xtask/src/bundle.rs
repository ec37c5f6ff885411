//! `cargo xtask bundle`: a folder that runs on another machine.
//!
//! ```text
//! bin/salver          the server; it looks for plugins in ../plugins
//! plugins/*.so        one per platform; they look for their framework in ../lib
//! lib/                framework libraries
//! licences/           ours, the frameworks', and a list of the crates inside
//! manifest.json       what is in here: versions, sizes and hashes
//! ```
//!
//! With `--layers`, the server and each platform are folders of their own, `server/` and `onnxruntime/` and so on, that make
//! the same tree when they are copied over each other: a container's layers, of which a new server replaces the small one.
//!
//! It is made beside its place and renamed into it; a running server keeps the files it has open.

mod licences;
mod manifest;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::Value;

use crate::cache;
use crate::fetch::{fetch, fetch_all};
use crate::libraries;
use crate::workspace::{cargo, line, run as run_command, target};
use manifest::Manifest;

/// The package of the server, and of its plugins: `salver-platforms-<name>-plugin`.
const SERVER: &str = "salver-server-bin";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to put the folder; what an earlier run put there is replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A platform to pack; may be given several times
    #[arg(long, value_enum, default_value = "onnxruntime")]
    platform: Vec<Platform>,
    /// Pack a build that is not optimised
    #[arg(long)]
    debug: bool,
    /// Pack libraries with CUDA where there are any: libtorch's. Gigabytes
    #[arg(long)]
    cuda: bool,
    /// Put the server and each platform into a folder of its own, to be copied over each other
    #[arg(long)]
    layers: bool,
}

/// A platform that can be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Platform {
    /// ONNX models
    Onnxruntime,
    /// TorchScript modules
    Libtorch,
    /// TensorFlow SavedModels
    Tensorflow,
    /// Tables in CSV files
    Lookup,
    /// Models that return their inputs, for tests and load
    Echo,
}

impl Platform {
    /// Those that are small enough for every test run.
    pub(crate) const LIGHT: [Self; 3] = [Self::Onnxruntime, Self::Lookup, Self::Echo];
    /// Every one of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Onnxruntime, Self::Libtorch, Self::Tensorflow, Self::Lookup, Self::Echo];

    fn name(self) -> &'static str {
        match self {
            Self::Onnxruntime => "onnxruntime",
            Self::Libtorch => "libtorch",
            Self::Tensorflow => "tensorflow",
            Self::Lookup => "lookup",
            Self::Echo => "echo",
        }
    }

    /// The library it needs at run time, if it needs one.
    fn library(self, cuda: bool) -> Option<&'static str> {
        match self {
            Self::Onnxruntime => Some("onnxruntime"),
            Self::Libtorch if cuda => Some("libtorch-cuda"),
            Self::Libtorch => Some("libtorch"),
            Self::Tensorflow => Some("tensorflow"),
            Self::Lookup | Self::Echo => None,
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let out = std::path::absolute(&args.out)?;
    let how = How { debug: args.debug, layers: args.layers, cuda: args.cuda };
    let manifest = make_with(&out, &args.platform, how)?;
    print!("{manifest}");
    println!("{}", out.display());
    Ok(())
}

/// Makes a bundle of the platforms at `out`.
///
/// # Errors
/// Where something cannot be built or fetched, and where `out` holds anything but an earlier bundle.
pub(crate) fn make(out: &Path, platforms: &[Platform], debug: bool) -> anyhow::Result<Manifest> {
    make_with(out, platforms, How { debug, ..How::default() })
}

/// How a bundle is made: as the flags of the same names say.
#[derive(Clone, Copy, Default)]
struct How {
    debug: bool,
    layers: bool,
    cuda: bool,
}

fn make_with(out: &Path, platforms: &[Platform], how: How) -> anyhow::Result<Manifest> {
    let How { debug, layers, cuda } = how;
    refuse_strangers(out)?;
    let mut platforms = platforms.to_vec();
    platforms.sort();
    platforms.dedup();
    let mut packages = vec![SERVER.to_owned()];
    packages.extend(platforms.iter().map(|platform| format!("salver-platforms-{}-plugin", platform.name())));
    // Each with its platform.
    let mut fetched = Vec::new();
    for platform in &platforms {
        let Some(name) = platform.library(cuda) else { continue };
        let libraries = fetch_all(&libraries::named(name)?)?;
        fetched.extend(libraries.into_iter().map(|(library, folder)| (platform.name(), library, folder)));
    }
    // It is linked with the one without CUDA, and runs with either.
    let libtorch = platforms.contains(&Platform::Libtorch).then(|| fetch(&libraries::named("libtorch")?));
    let built = build(&packages, libtorch.transpose()?.as_deref(), debug)?;

    // Two runs at once take turns: they may have the same place in mind.
    let _lock = cache::lock(&target().join(".bundle.lock"))?;
    let making = beside(out, "making")?;
    cache::remove(&making)?;
    let mut manifest = Manifest::new(debug)?;
    for file in &built {
        let folder = if file.extension().is_some() { "plugins" } else { "bin" };
        let copy = copy(file, &making.join(folder))?;
        if !debug {
            strip(&copy)?;
        }
    }
    let mut owners = BTreeMap::new();
    for (platform, library, fetched) in &fetched {
        let mut licences = making.join("licences").join(platform);
        if library.companions.is_empty() && *platform != library.name {
            licences.push(&library.name);
        }
        copy_folder(&fetched.join("licences"), &licences)?;
        for folder in [fetched.clone(), fetched.join("lib")] {
            for copy in copy_libraries(&folder, &making.join("lib"), debug)? {
                owners.insert(copy.strip_prefix(&making)?.to_owned(), (*platform).to_owned());
            }
        }
        manifest.add_library(library)?;
    }
    licences::write(&making.join("licences"), &packages, manifest.target())?;
    manifest.add_files(&making, |path| layer_of(path, &owners))?;
    manifest.write(&making)?;
    if layers {
        manifest.separate(&making)?;
    }

    let old = beside(out, "old")?;
    cache::remove(&old)?;
    if out.exists() {
        fs::rename(out, &old).with_context(|| format!("moving {} away", out.display()))?;
    }
    fs::rename(&making, out).with_context(|| format!("renaming to {}", out.display()))?;
    cache::remove(&old)?;
    Ok(manifest)
}

/// Which layer a file is in, by its path in the bundle: the platform that it is there for, or the server.
fn layer_of(path: &Path, owners: &BTreeMap<PathBuf, String>) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let names: Vec<_> = parts.iter().map(|part| &**part).collect();
    let platform = match names.as_slice() {
        ["plugins", file] => file.strip_prefix("libsalver_").and_then(|file| file.strip_suffix(".so")),
        ["licences", platform, ..] => {
            Platform::value_variants().iter().map(|known| known.name()).find(|known| known == platform)
        }
        _ => owners.get(path).map(String::as_str),
    };
    platform.unwrap_or("server").to_owned()
}

/// Fails unless `out` is free, empty or a bundle: it is about to be replaced.
fn refuse_strangers(out: &Path) -> anyhow::Result<()> {
    let Ok(mut entries) = fs::read_dir(out) else {
        return Ok(());
    };
    if entries.next().is_some() && !manifest::is_ours(&out.join(manifest::FILE)) {
        bail!("{} holds something that is not a bundle: name another folder, or empty it", out.display());
    }
    Ok(())
}

/// A hidden sibling of `out`, on the same file system.
fn beside(out: &Path, purpose: &str) -> anyhow::Result<PathBuf> {
    let name = out.file_name().with_context(|| format!("`{}` names no folder", out.display()))?;
    Ok(out.with_file_name(format!(".{}.{purpose}", name.to_string_lossy())))
}

/// Builds packages in one go; the programs and dynamic libraries that came out.
fn build(packages: &[String], libtorch: Option<&Path>, debug: bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut build = cargo(["build", "--message-format=json-render-diagnostics"]);
    if let Some(libtorch) = libtorch {
        with_libtorch(&mut build, libtorch);
    }
    if !debug {
        build.arg("--release");
    }
    for package in packages {
        build.args(["--package", package]);
    }
    let output =
        build.stderr(Stdio::inherit()).output().with_context(|| format!("starting {}", line(&build)))?;
    if !output.status.success() {
        bail!("{} ended with {}", line(&build), output.status);
    }
    let messages = String::from_utf8(output.stdout).context("reading what cargo built")?;
    let built: Vec<_> = messages.lines().filter_map(artifact).collect();
    if built.len() != packages.len() {
        bail!("{} made {built:?}, one file per package was wanted", line(&build));
    }
    Ok(built)
}

/// Lets cargo build what is linked with libtorch, which it only checks otherwise.
pub(crate) fn with_libtorch(cargo: &mut Command, libtorch: &Path) {
    cargo.arg("--no-default-features").env("LIBTORCH", libtorch).env("LD_LIBRARY_PATH", libtorch.join("lib"));
}

/// The program or dynamic library that a line of cargo's messages reports.
fn artifact(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_ours = message.get("manifest_path")?.as_str()?.starts_with(crate::workspace::root().to_str()?);
    if message.get("reason")? != "compiler-artifact" || !is_ours {
        return None;
    }
    if let Some(program) = message.get("executable")?.as_str() {
        return Some(program.into());
    }
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".so")).map(PathBuf::from)
}

fn copy(file: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let name = file.file_name().with_context(|| format!("`{}` names no file", file.display()))?;
    let copy = folder.join(name);
    fs::copy(file, &copy).with_context(|| format!("copying {}", file.display()))?;
    Ok(copy)
}

/// Copies a folder and all in it.
fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            copy_folder(&path, &to.join(path.file_name().unwrap_or_default()))?;
        } else {
            copy(&path, to)?;
        }
    }
    Ok(())
}

/// Copies the dynamic libraries that lie in a folder, if there is one.
fn copy_libraries(from: &Path, to: &Path, debug: bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    let Ok(entries) = fs::read_dir(from) else { return Ok(copies) };
    for entry in entries {
        let path = entry?.path();
        let is_library = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
        if is_library && path.is_file() {
            let copy = copy(&path, to)?;
            if !debug {
                strip(&copy)?;
            }
            copies.push(copy);
        }
    }
    Ok(copies)
}

/// Takes the line tables out, which are most of the size. Names stay, for backtraces, and so do notes: a plugin is
/// known by its note.
fn strip(file: &Path) -> anyhow::Result<()> {
    let mut strip = Command::new("strip");
    match run_command(strip.arg("--strip-debug").arg(file)) {
        // It comes with the C compiler. Without it the file is larger, and no worse.
        Err(error) if error.root_cause().is::<std::io::Error>() => {
            eprintln!("{error:#}: {} keeps its line tables", file.display());
            Ok(())
        }
        stripped => stripped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_the_layer_of_the_platform_that_it_is_there_for() {
        let owners = [(PathBuf::from("lib/libc10.so"), "libtorch".to_owned())].into();
        let layer = |path: &str| layer_of(Path::new(path), &owners);
        assert_eq!(layer("plugins/libsalver_libtorch.so"), "libtorch");
        assert_eq!(layer("lib/libc10.so"), "libtorch");
        assert_eq!(layer("licences/onnxruntime/LICENSE"), "onnxruntime");
        for path in ["bin/salver", "licences/LICENSE", "licences/rust-crates.txt"] {
            assert_eq!(layer(path), "server");
        }
    }

    #[test]
    fn a_folder_that_is_not_a_bundle_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert!(refuse_strangers(&dir.path().join("new")).is_ok());
        assert!(refuse_strangers(dir.path()).is_ok());
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(refuse_strangers(dir.path()).unwrap_err().to_string().contains("is not a bundle"));
        fs::write(dir.path().join(manifest::FILE), "{}").unwrap();
        assert!(refuse_strangers(dir.path()).unwrap_err().to_string().contains("is not a bundle"));
        fs::write(dir.path().join(manifest::FILE), r#"{"name": "salver", "files": []}"#).unwrap();
        assert!(refuse_strangers(dir.path()).is_ok());
    }

    #[test]
    fn programs_and_dynamic_libraries_are_found_among_what_cargo_says() {
        let root = crate::workspace::root().display();
        let message = |executable: &str, filename: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"{root}/x/Cargo.toml","executable":{executable},"filenames":["{filename}"]}}"#
            )
        };
        assert_eq!(artifact(&message(r#""/t/salver""#, "/t/salver")), Some("/t/salver".into()));
        assert_eq!(artifact(&message("null", "/t/libx.so")), Some("/t/libx.so".into()));
        assert_eq!(artifact(&message("null", "/t/libx.rlib")), None);
        assert_eq!(artifact("not json"), None);
    }
}
