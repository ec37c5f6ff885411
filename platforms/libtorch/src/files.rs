//! Which file of a version's directory is the model.

use std::path::{Component, Path, PathBuf};

use salver_core_status::{Quoted, Status};

const MODEL: &str = "model.pt";

/// What TorchScript's files end with.
const ENDINGS: [&str; 3] = ["pt", "pth", "jit"];

/// The model's file, relative to `directory`, or why there is none.
pub(crate) fn find(directory: &Path) -> Result<PathBuf, String> {
    if directory.join(MODEL).is_file() {
        return Ok(PathBuf::from(MODEL));
    }
    let entries = std::fs::read_dir(directory).map_err(|error| format!("cannot be read: {error}"))?;
    let is_model = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ENDINGS.contains(&ending)) && path.is_file()
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_model);
    let mut found: Vec<PathBuf> = paths.filter_map(|path| path.file_name().map(PathBuf::from)).collect();
    found.sort();
    match (found.pop(), found.len()) {
        (None, _) => Err("no `*.pt`, `*.pth` or `*.jit` file".to_owned()),
        (Some(file), 0) => Ok(file),
        (Some(_), others) => {
            Err(format!("{} `*.pt`, `*.pth` or `*.jit` files, none of them `{MODEL}`", others + 1))
        }
    }
}

/// The model's file: as option `file` says it, else as it is found.
///
/// # Errors
/// INVALID_ARGUMENT for a path that leads out of the directory, NOT_FOUND where there is no model.
pub(crate) fn of(directory: &Path, file: Option<&str>) -> Result<PathBuf, Status> {
    let Some(file) = file else {
        let found = find(directory);
        return found
            .map(|file| directory.join(file))
            .map_err(|reason| Status::not_found(format!("`{}`: {reason}", directory.display())));
    };
    let path = Path::new(file);
    if path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Ok(directory.join(path));
    }
    Err(Status::invalid_argument(format!(
        "option `file` is {}, wanted a path inside the version's directory",
        Quoted(file)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[&str], wanted: Result<&str, &str>) {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(directory.path().join(file), "").unwrap();
        }
        assert_eq!(find(directory.path()), wanted.map(PathBuf::from).map_err(str::to_owned));
    }

    #[test]
    fn the_model_is_model_pt_or_the_only_one() {
        check(&["model.pt", "other.pt"], Ok("model.pt"));
        check(&["silero.jit", "labels.txt"], Ok("silero.jit"));
        check(&["a.pt", "b.pth"], Err("2 `*.pt`, `*.pth` or `*.jit` files, none of them `model.pt`"));
        check(&["model.onnx"], Err("no `*.pt`, `*.pth` or `*.jit` file"));
    }

    #[test]
    fn a_file_outside_the_directory_is_refused() {
        assert!(of(Path::new("/m/1"), Some("sub/x.pt")).is_ok());
        assert!(of(Path::new("/m/1"), Some("../x.pt")).is_err());
        assert!(of(Path::new("/m/1"), Some("/x.pt")).is_err());
    }
}
