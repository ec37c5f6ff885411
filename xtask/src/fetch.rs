//! `cargo xtask fetch`: framework libraries, out of PyPI wheels, into the cache.
//!
//! The user's own `python3 -m pip` does the fetching, so that mirrors, proxies and certificates are as configured for
//! it, and it draws the progress bar. What it brings is checked against the pinned hash here as well. A failed attempt
//! is repeated after a pause; a wheel that arrived whole is not fetched again, even if the program was stopped before
//! it was unpacked; and what is in the cache is used without the network.

mod libtorch;

use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::cache::Cache;
use crate::hash;
use crate::libraries::{self, Library, Making};
use crate::workspace::run as run_command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which libraries; where none is named, those that are not optional
    #[arg(value_name = "LIBRARY")]
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let wanted: Vec<Library> = if args.names.is_empty() {
        libraries::all()?.into_iter().filter(|library| !library.optional).collect()
    } else {
        args.names.iter().map(|name| libraries::named(name)).collect::<Result<_, _>>()?
    };
    for library in wanted {
        for (library, folder) in fetch_all(&library)? {
            println!("{} {}: {}", library.name, library.version, folder.display());
        }
    }
    Ok(())
}

/// A library and what must lie beside it, each with its folder in the cache.
///
/// # Errors
/// As [`fetch`].
pub(crate) fn fetch_all(library: &Library) -> anyhow::Result<Vec<(Library, PathBuf)>> {
    let companions = library.companions.iter().map(|name| libraries::named(name));
    let all = std::iter::once(Ok(library.clone())).chain(companions);
    all.map(|library| library.and_then(|library| Ok((library.clone(), fetch(&library)?)))).collect()
}

/// The folder in the cache that holds a library, fetched if it is not there yet.
///
/// # Errors
/// Where it cannot be fetched, or is not what was pinned.
pub(crate) fn fetch(library: &Library) -> anyhow::Result<PathBuf> {
    let pin = library.pin()?;
    Cache::from_env()?
        .folder(&library.folder(), &pin.sha256, |folder, partial| {
            let wheel = match find_wheel(partial, &pin.sha256) {
                Some(wheel) => wheel,
                None => download(library, partial)?,
            };
            unpack(library, &wheel, folder)?;
            match library.make {
                Some(Making::Libtorch) => libtorch::make(folder, &library.version),
                Some(Making::LibtorchCuda) => libtorch::make_with_cuda(folder),
                None => Ok(()),
            }
        })
        .with_context(|| format!("fetching {} {}", library.name, library.version))
}

/// How long to wait after the first and the second failure.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(8)];

/// Has pip fetch the wheel into `dir`.
fn download(library: &Library, dir: &Path) -> anyhow::Result<PathBuf> {
    let pin = library.pin()?;
    let requirement = dir.join("requirement.txt");
    let pinned = format!("{}=={} --hash=sha256:{}\n", library.wheel.package, library.version, pin.sha256);
    fs::write(&requirement, pinned)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--require-hashes"])
        .args(["--only-binary=:all:", "--implementation=cp", "--python-version", &library.wheel.python])
        .args([format!("--abi=cp{}", library.wheel.python), format!("--platform={}", pin.tag)])
        .arg("--dest")
        .arg(dir)
        .arg("--requirement")
        .arg(&requirement);
    let mut pauses = PAUSES.into_iter();
    while let Err(error) = run_command(&mut pip) {
        let Some(pause) = pauses.next() else {
            return Err(error);
        };
        eprintln!("{error:#}; trying again in {} seconds", pause.as_secs());
        thread::sleep(pause);
    }
    find_wheel(dir, &pin.sha256)
        .with_context(|| format!("no wheel in {} has the pinned hash {}", dir.display(), pin.sha256))
}

/// The wheel in `dir` that has the hash, if one has.
fn find_wheel(dir: &Path, sha256: &str) -> Option<PathBuf> {
    let wheels = fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut wheels = wheels.filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheels.find(|path| hash::of_file(path).is_ok_and(|found| found == sha256))
}

/// Takes the files that the table names out of a wheel.
fn unpack(library: &Library, wheel: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut archive = ZipArchive::new(File::open(wheel)?).context("opening the wheel")?;
    for file in &library.files {
        if !file.from.ends_with('/') {
            unpack_one(&mut archive, &file.from, &folder.join(&file.to))?;
            continue;
        }
        let names = archive.file_names().map(|name| Ok(name?.into_owned()));
        let names: Vec<String> = names.collect::<Result<_, ZipError>>()?;
        let inside = names.iter().filter_map(|name| Some((name, name.strip_prefix(&file.from)?)));
        let inside: Vec<_> = inside.filter(|(_, below)| !below.is_empty() && !below.ends_with('/')).collect();
        if inside.is_empty() {
            bail!("the wheel has no folder `{}`", file.from);
        }
        for (name, below) in inside {
            if !Path::new(below).components().all(|part| matches!(part, Component::Normal(_))) {
                bail!("the wheel has a file `{name}`, whose path leads elsewhere");
            }
            unpack_one(&mut archive, name, &folder.join(&file.to).join(below))?;
        }
    }
    Ok(())
}

fn unpack_one(archive: &mut ZipArchive<File>, name: &str, path: &Path) -> anyhow::Result<()> {
    let Ok(mut member) = archive.by_name(name) else {
        bail!("the wheel has no file `{name}`");
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut unpacked = File::create(path).with_context(|| format!("making {}", path.display()))?;
    std::io::copy(&mut member, &mut unpacked).with_context(|| format!("unpacking {name}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn wheel(dir: &Path, members: &[(&str, &str)]) -> PathBuf {
        let path = dir.join("library-1.0-cp311-cp311-any.whl");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in members {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn a_wheel_with_another_hash_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = wheel(dir.path(), &[("a", "b")]);
        let sha256 = hash::of_file(&path).unwrap();
        assert_eq!(find_wheel(dir.path(), &sha256), Some(path.clone()));

        File::options().append(true).open(&path).unwrap().write_all(b"x").unwrap();
        assert_eq!(find_wheel(dir.path(), &sha256), None);
    }

    #[test]
    fn only_the_named_files_are_unpacked_each_where_it_should_go() {
        let dir = tempfile::tempdir().unwrap();
        let library = libraries::named("onnxruntime").unwrap();
        let members: Vec<_> =
            library.files.iter().map(|file| (file.from.as_str(), file.from.as_str())).collect();
        let path = wheel(dir.path(), &[&members[..], &[("onnxruntime/__init__.py", "")]].concat());
        let folder = dir.path().join("folder");
        unpack(&library, &path, &folder).unwrap();
        for file in &library.files {
            assert_eq!(fs::read_to_string(folder.join(&file.to)).unwrap(), file.from);
        }
        assert!(!folder.join("__init__.py").exists());
    }

    #[test]
    fn a_named_folder_is_unpacked_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut library = libraries::named("onnxruntime").unwrap();
        let member = r#"files = [{ from = "a/include/", to = "include" }]"#;
        library.files = toml::from_str::<BTreeMap<String, _>>(member).unwrap().remove("files").unwrap();
        let path = wheel(dir.path(), &[("a/include/x/y.h", "y"), ("a/include/z.h", "z"), ("a/other.h", "")]);
        let folder = dir.path().join("folder");
        unpack(&library, &path, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("include/x/y.h")).unwrap(), "y");
        assert_eq!(fs::read_to_string(folder.join("include/z.h")).unwrap(), "z");

        let path = wheel(dir.path(), &[("a/include/../../z.h", "z")]);
        assert!(unpack(&library, &path, &folder).unwrap_err().to_string().contains("leads elsewhere"));
    }

    #[test]
    fn a_wheel_that_lacks_a_named_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = wheel(dir.path(), &[("a", "b")]);
        let error = unpack(&libraries::named("onnxruntime").unwrap(), &path, dir.path()).unwrap_err();
        assert!(error.to_string().starts_with("the wheel has no file `onnxruntime/capi/"), "{error}");
    }
}
