//! Which file of a version's directory is the model.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use salver_core_status::{Quoted, Status};

const MODEL: &str = "model.onnx";

/// The model's file, relative to `directory`, or why there is none.
///
/// `model.onnx` may itself be a directory, with the model and its weights inside, as in Triton's model repository.
pub(crate) fn find(directory: &Path) -> Result<PathBuf, String> {
    let folder = directory.join(MODEL);
    if folder.is_dir() {
        let file = find_flat(&folder).map_err(|reason| format!("in directory `{MODEL}`: {reason}"))?;
        return Ok(Path::new(MODEL).join(file));
    }
    find_flat(directory)
}

fn find_flat(directory: &Path) -> Result<PathBuf, String> {
    if directory.join(MODEL).is_file() {
        return Ok(PathBuf::from(MODEL));
    }
    let entries = std::fs::read_dir(directory).map_err(|error| format!("cannot be read: {error}"))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new("onnx")) && path.is_file())
        .filter_map(|path| path.file_name().map(PathBuf::from))
        .collect();
    found.sort();
    match (found.pop(), found.len()) {
        (None, _) => Err("no `*.onnx` file".to_owned()),
        (Some(file), 0) => Ok(file),
        (Some(_), others) => Err(format!("{} `*.onnx` files, none of them `{MODEL}`", others + 1)),
    }
}

/// The model's file as option `file` says it, relative to the version's directory.
///
/// # Errors
/// INVALID_ARGUMENT for a path that leads out of the directory.
pub(crate) fn inside(file: &str) -> Result<PathBuf, Status> {
    let path = PathBuf::from(file);
    if path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
        return Ok(path);
    }
    let found = Quoted(file);
    Err(Status::invalid_argument(format!(
        "option `file` is {found}, wanted a path inside the version's directory"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[&str], wanted: Result<&str, &str>) {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = find(directory.path());
        assert_eq!(found, wanted.map(PathBuf::from).map_err(str::to_owned));
    }

    #[test]
    fn the_model_is_model_onnx_or_the_only_one_or_in_a_directory_of_that_name() {
        check(&["model.onnx", "other.onnx"], Ok("model.onnx"));
        check(&["mnist.onnx", "mnist.bin"], Ok("mnist.onnx"));
        check(&["model.onnx/model.onnx", "model.onnx/weights.bin"], Ok("model.onnx/model.onnx"));
        check(&["model.onnx/only.onnx"], Ok("model.onnx/only.onnx"));
    }

    #[test]
    fn none_and_several_are_told_apart() {
        check(&["saved_model.pb"], Err("no `*.onnx` file"));
        check(&["a.onnx", "b.onnx"], Err("2 `*.onnx` files, none of them `model.onnx`"));
        check(&["model.onnx/x.bin"], Err("in directory `model.onnx`: no `*.onnx` file"));
    }

    #[test]
    fn a_file_outside_the_directory_is_refused() {
        assert!(inside("sub/x.onnx").is_ok());
        assert!(inside("../x.onnx").is_err());
        assert!(inside("/x.onnx").is_err());
    }
}
