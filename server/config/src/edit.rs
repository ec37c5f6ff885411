//! Changes a model's settings file, and leaves in it what a person wrote.

use std::io::Write as _;
use std::path::Path;

use salver_core_status::{Quoted, Status};
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use crate::args::ModelArgs;
use crate::model::{ModelSettings, SETTINGS_FILE};
use crate::policy::parse_policy;

/// Changes the settings of a model as asked. The file is there or not; it is replaced in one step, so that whoever
/// reads it finds the old settings or the new ones.
///
/// # Errors
/// NOT_FOUND where there is no such directory; INVALID_ARGUMENT where what is in the file, or would be, is no settings;
/// UNAVAILABLE where it cannot be read or written. Nothing was changed then.
pub fn edit_model(args: &ModelArgs) -> Result<(), Status> {
    let directory = &args.directory;
    if !directory.is_dir() {
        return Err(Status::not_found(format!("`{}` is not a directory", directory.display())));
    }
    // Of several who change it at once, each changes what the one before left. Where the file system knows no locks,
    // the last one wins.
    let turn = std::fs::File::open(directory).and_then(|directory| directory.lock().map(|()| directory)).ok();
    // Also refuses what is in the file already and cannot be.
    let settings = ModelSettings::read(directory)?;
    let unknown = args.remove_label.iter().find(|label| !settings.labels.contains_key(label.as_str()));
    if let Some(label) = unknown {
        return Err(Status::not_found(format!("there is no label {}", Quoted(label))));
    }
    let path = directory.join(SETTINGS_FILE);
    let failed =
        |error: std::io::Error| Status::unavailable(format!("changing `{}`: {error}", path.display()));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let changed = edit(&text, args)?;
    replace(&path, &changed).map_err(failed)?;
    drop(turn);
    Ok(())
}

fn edit(text: &str, args: &ModelArgs) -> Result<String, Status> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| Status::invalid_argument(error.to_string()))?;
    if let Some(versions) = &args.versions {
        parse_policy(versions).map_err(Status::invalid_argument)?;
        set(document.as_table_mut(), "version_policy", value(versions.as_str()));
    }
    if !(args.label.is_empty() && args.remove_label.is_empty()) {
        let labels = document.entry("labels").or_insert(Item::Table(Table::new()));
        let labels =
            labels.as_table_like_mut().ok_or_else(|| Status::invalid_argument("`labels` is not a table"))?;
        for label in &args.remove_label {
            labels.remove(label);
        }
        for (label, version) in &args.label {
            set(labels, label, value(version.number()));
        }
    }
    Ok(document.to_string())
}

/// Sets a key, and leaves the comment before it where it is there already.
fn set(table: &mut dyn TableLike, key: &str, value: Item) {
    match table.get_mut(key) {
        Some(item) => *item = value,
        None => drop(table.insert(key, value)),
    }
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".model.toml.").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    // A temporary file is for its owner only; the server may be somebody else.
    let permissions = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions(),
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    file.as_file().set_permissions(permissions)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_servable::Version;
    use salver_core_status::Code;

    fn args(directory: &Path) -> ModelArgs {
        ModelArgs {
            directory: directory.to_owned(),
            label: Vec::new(),
            remove_label: Vec::new(),
            versions: None,
        }
    }

    fn label(name: &str, number: i64) -> (String, Version) {
        (name.to_owned(), Version::new(number).unwrap())
    }

    #[test]
    fn what_a_person_wrote_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SETTINGS_FILE);
        let before = "# ours\nversion_policy = 'all'\nplatform = \"echo\" # why\n[labels]\nold = 1\n";
        std::fs::write(&path, before).unwrap();
        let change = ModelArgs {
            label: vec![label("stable", 2)],
            remove_label: vec!["old".to_owned()],
            versions: Some("specific:1,2".to_owned()),
            ..args(directory.path())
        };
        edit_model(&change).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "# ours\nversion_policy = \"specific:1,2\"\nplatform = \"echo\" # why\n[labels]\nstable = 2\n"
        );
    }

    #[test]
    fn a_model_without_settings_gets_some() {
        let directory = tempfile::tempdir().unwrap();
        edit_model(&ModelArgs { label: vec![label("stable", 7)], ..args(directory.path()) }).unwrap();
        let settings = ModelSettings::read(directory.path()).unwrap();
        assert_eq!(settings.labels, [label("stable", 7)].into());
    }

    #[test]
    fn several_may_change_the_settings_at_once_and_no_change_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let change =
                    ModelArgs { label: vec![label(&format!("l{number}"), number)], ..args(directory.path()) };
                scope.spawn(move || edit_model(&change).unwrap());
            }
        });
        assert_eq!(ModelSettings::read(directory.path()).unwrap().labels.len(), 8);
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let wrong_policy = ModelArgs { versions: Some("newest".to_owned()), ..args(path) };
        assert_eq!(edit_model(&wrong_policy).unwrap_err().code(), Code::InvalidArgument);
        let no_such_label = ModelArgs { remove_label: vec!["x".to_owned()], ..args(path) };
        assert_eq!(edit_model(&no_such_label).unwrap_err().code(), Code::NotFound);
        assert_eq!(edit_model(&args(&path.join("missing"))).unwrap_err().code(), Code::NotFound);
        assert!(!path.join(SETTINGS_FILE).exists());
    }
}
