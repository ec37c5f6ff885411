//! Finding and loading models, good and bad.

use std::fs;
use std::path::{Path, PathBuf};

use salver_core_platform::{Options, Probe};
use salver_core_status::Code;

use crate::Subject;
use crate::case::{Fault, fail};
use crate::inputs::{self, Values};
use crate::subject::{Folder, answer};

pub(super) fn foreign_directory(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let missing = folder.path().join("missing");
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign)?;
    for directory in [&missing, &foreign] {
        if let Probe::Match { file } = subject.platform.probe(directory) {
            fail!(
                "a directory that is {} is recognised, by {file:?}",
                if directory == &missing { "not there" } else { "empty" }
            );
        }
    }
    fs::write(foreign.join("notes.txt"), "not a model")?;
    fs::create_dir(foreign.join("variables"))?;
    if let Probe::Match { file } = subject.platform.probe(&foreign) {
        fail!("a directory that holds notes is recognised, by {file:?}");
    }
    Ok(())
}

pub(super) fn own_directory(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = subject.some_model()?;
    match subject.platform.probe(folder.path()) {
        Probe::Match { file } if folder.path().join(&file).exists() => Ok(()),
        Probe::Match { file } => fail!("recognised by {file:?}, which is not there"),
        Probe::NoMatch { reason } => fail!("not recognised: {reason}"),
    }
}

pub(super) fn no_model(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    for directory in [folder.path().to_owned(), folder.path().join("missing")] {
        refused(subject, &directory, &subject.options, "a directory without a model")?;
    }
    Ok(())
}

/// That a load fails, and says why.
fn refused(subject: &Subject<'_>, directory: &Path, options: &Options, what: &str) -> Result<(), Fault> {
    match subject.load_unchecked(directory, options) {
        Ok(_) => fail!("{what} loads"),
        Err(status) if status.message().is_empty() => fail!("{what} is refused without a reason"),
        Err(status) if has_panicked(status.message()) => fail!("{what} makes the platform panic: {status}"),
        Err(status) if status.code() == Code::Unknown => {
            fail!("{what} is refused without a known code: {status}")
        }
        Err(_) => Ok(()),
    }
}

/// Whether a status tells of a panic that was caught on the way.
fn has_panicked(message: &str) -> bool {
    message.contains("panicked")
}

/// A copy of the model whose every file is what `change` makes of it.
fn damaged(model: &Folder, change: impl Fn(&[u8]) -> Vec<u8>) -> Result<tempfile::TempDir, Fault> {
    let copy = tempfile::tempdir()?;
    for file in files(model.path())? {
        let Ok(relative) = file.strip_prefix(model.path()) else {
            continue;
        };
        let target = copy.path().join(relative);
        fs::create_dir_all(target.parent().unwrap_or(copy.path()))?;
        fs::write(target, change(&fs::read(&file)?))?;
    }
    Ok(copy)
}

/// The files in a folder and below.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn truncated(subject: &Subject<'_>) -> Result<(), Fault> {
    let model = subject.some_model()?;
    for eighths in 0..8 {
        let copy =
            damaged(&model, |bytes| bytes.get(..bytes.len() / 8 * eighths).unwrap_or_default().to_owned())?;
        match subject.load_unchecked(copy.path(), model.options()) {
            Ok(model) => {
                for (position, signature) in model.signatures().iter().enumerate() {
                    let inputs = inputs::of_signature(subject, signature, 1, Values::Plain);
                    let inputs = inputs.map_err(|status| Fault::Failed(format!("no inputs: {status}")))?;
                    // Any answer will do: what was cut off may have been what made it right.
                    let _ = answer(&*model, position, signature, &inputs);
                }
            }
            Err(status) if has_panicked(status.message()) => {
                fail!("a model of which {eighths} eighths are there makes the platform panic: {status}")
            }
            Err(_) => {}
        }
    }
    Ok(())
}

pub(super) fn garbage(subject: &Subject<'_>) -> Result<(), Fault> {
    // No text, no archive, no message: 0xFF is no UTF-8, and as a protobuf tag it never ends.
    let model = subject.some_model()?;
    let copy = damaged(&model, |bytes| vec![0xFF; bytes.len().max(64)])?;
    refused(subject, copy.path(), model.options(), "a model of garbage")
}

pub(super) fn stable_signatures(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = subject.some_model()?;
    let first = subject.load(&folder)?;
    for _ in 0..3 {
        let next = subject.load(&folder)?;
        if next.signatures().as_slice() != first.signatures().as_slice() {
            fail!("first {:?}, then {:?}", first.signatures(), next.signatures());
        }
    }
    Ok(())
}
