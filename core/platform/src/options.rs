//! Settings by name, as a platform is given them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use salver_core_status::{Quoted, Status};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
}

/// Settings by name. The readers refuse a value of the wrong kind and name the setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(BTreeMap<String, OptionValue>);

impl Options {
    /// No settings, shared by everybody who has none: neither made nor dropped.
    pub fn none() -> &'static Self {
        static NONE: Options = Options(BTreeMap::new());
        &NONE
    }

    /// No settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name`, in place of what it was.
    pub fn set(&mut self, name: impl Into<String>, value: OptionValue) {
        self.0.insert(name.into(), value);
    }

    /// These settings, and over them those of `other`.
    #[must_use]
    pub fn overlaid(&self, other: &Options) -> Options {
        let mut merged = self.clone();
        merged.0.extend(other.0.clone());
        merged
    }

    /// Takes the setting `name` out.
    pub fn remove(&mut self, name: &str) -> Option<OptionValue> {
        self.0.remove(name)
    }

    /// Whether there is a setting `name`.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All settings by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &OptionValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The setting `name` as true or false.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it is something else.
    pub fn bool(&self, name: &str) -> Result<Option<bool>, Status> {
        match self.0.get(name) {
            None => Ok(None),
            Some(OptionValue::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong_kind(name, other, "true or false")),
        }
    }

    /// The setting `name` as a whole number.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it is something else.
    pub fn int(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.0.get(name) {
            None => Ok(None),
            Some(OptionValue::Int(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong_kind(name, other, "a whole number")),
        }
    }

    /// The setting `name` as a text.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it is something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Status> {
        match self.0.get(name) {
            None => Ok(None),
            Some(OptionValue::Text(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_kind(name, other, "a text")),
        }
    }

    /// The setting `name` as files, with commas between their paths; those that are not absolute are in `directory`.
    /// None where it is not set.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it is something else, FAILED_PRECONDITION where a file is not there.
    pub fn files(&self, name: &str, directory: &Path) -> Result<Vec<PathBuf>, Status> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        let file = |path: &str| {
            let file = directory.join(path.trim());
            if path.trim().is_empty() {
                let wanted = "paths of files with commas between them";
                return Err(Status::invalid_argument(format!(
                    "option {} is {}, wanted {wanted}",
                    Quoted(name),
                    Quoted(text)
                )));
            }
            if !file.is_file() {
                let shown = file.display().to_string();
                return Err(Status::failed_precondition(format!(
                    "option {}: there is no file {}",
                    Quoted(name),
                    Quoted(&shown)
                )));
            }
            Ok(file)
        };
        text.split(',').map(file).collect()
    }

    /// Whether every setting is one of `known`: a platform calls this first, so that a misspelt setting is not lost.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming the setting and the known ones.
    pub fn only(&self, known: &[&str]) -> Result<(), Status> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Status::invalid_argument(format!(
                "unknown option {}; there are: {}",
                Quoted(name),
                known.join(", ")
            ))),
        }
    }
}

fn wrong_kind(name: &str, found: &OptionValue, wanted: &str) -> Status {
    Status::invalid_argument(format!("option {} is {found:?}, wanted {wanted}", Quoted(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_option_and_a_wrong_kind_are_named() {
        let mut options = Options::new();
        options.set("threads", OptionValue::Text("two".into()));
        assert_eq!(
            options.int("threads").unwrap_err().message(),
            "option `threads` is Text(\"two\"), wanted a whole number"
        );
        assert!(options.only(&["threads"]).is_ok());
        assert_eq!(
            options.only(&["arena", "device"]).unwrap_err().message(),
            "unknown option `threads`; there are: arena, device"
        );
    }

    #[test]
    fn the_model_s_settings_win_over_the_server_s() {
        let (mut server, mut model) = (Options::new(), Options::new());
        server.set("a", OptionValue::Int(1));
        server.set("b", OptionValue::Int(1));
        model.set("b", OptionValue::Int(2));
        let merged = server.overlaid(&model);
        assert_eq!((merged.int("a").unwrap(), merged.int("b").unwrap()), (Some(1), Some(2)));
    }

    #[test]
    fn files_are_in_the_directory_or_named_by_an_absolute_path_and_all_there() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, elsewhere) = (directory.path().join("a.so"), tempfile::NamedTempFile::new().unwrap());
        std::fs::write(&inside, "").unwrap();
        let files = |text: &str| {
            let mut options = Options::new();
            options.set("files", OptionValue::Text(text.to_owned()));
            options.files("files", directory.path()).map_err(|status| (status.code(), status.to_string()))
        };
        let both = format!("a.so, {}", elsewhere.path().display());
        assert_eq!(files(&both), Ok(vec![inside, elsewhere.path().to_owned()]));
        assert_eq!(Options::new().files("files", directory.path()), Ok(Vec::new()));
        let (code, message) = files("a.so,b.so").unwrap_err();
        let missing = directory.path().join("b.so");
        assert_eq!(code, salver_core_status::Code::FailedPrecondition);
        assert_eq!(message, format!("option `files`: there is no file `{}`", missing.display()));
        let (code, message) = files("a.so,").unwrap_err();
        assert_eq!(code, salver_core_status::Code::InvalidArgument);
        assert_eq!(message, "option `files` is `a.so,`, wanted paths of files with commas between them");
    }
}
