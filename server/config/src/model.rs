//! What a model says of itself.

use std::path::Path;

use salver_core_platform::Options;
use salver_core_status::Status;
use salver_manager_source_file::VersionPolicy;
use serde::Deserialize;

use crate::options::from_table;
use crate::policy::parse_policy;

/// The name of the file beside a model's versions.
pub const SETTINGS_FILE: &str = "model.toml";

/// The settings of one model. All of them may be left out, and so may the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// Which platform loads it; found by probing where it is not said.
    pub platform: Option<String>,
    /// Which versions to serve; the server's policy where it is not said.
    pub version_policy: Option<VersionPolicy>,
    /// Settings for the platform, over those of the server.
    pub options: Options,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    platform: Option<String>,
    version_policy: Option<String>,
    #[serde(default)]
    options: toml::Table,
}

impl ModelSettings {
    /// Reads the settings of the model whose versions are in `directory`. No file: no settings.
    ///
    /// # Errors
    /// INVALID_ARGUMENT naming the file and what is wrong in it, or what it is in place of a file, whose reading might
    /// never end; UNAVAILABLE where it cannot be read.
    pub fn read(directory: &Path) -> Result<Self, Status> {
        /// More than any settings need; less than what hurts to read.
        const LONGEST: u64 = 1 << 20;
        let path = directory.join(SETTINGS_FILE);
        let shown = path.display();
        let text = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Status::unavailable(format!("reading `{shown}`: {error}"))),
            Ok(metadata) if !metadata.is_file() => {
                return Err(Status::invalid_argument(format!("`{shown}` is not a file")));
            }
            Ok(metadata) if metadata.len() > LONGEST => {
                let length = metadata.len();
                return Err(Status::invalid_argument(format!(
                    "`{shown}` has {length} bytes, at most {LONGEST} may be"
                )));
            }
            Ok(_) => std::fs::read_to_string(&path)
                .map_err(|error| Status::unavailable(format!("reading `{shown}`: {error}")))?,
        };
        Self::parse(&text).map_err(|message| Status::invalid_argument(format!("`{shown}`: {message}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = toml::from_str(text).map_err(|error| error.to_string().trim().replace('\n', " "))?;
        Ok(Self {
            platform: raw.platform,
            version_policy: raw.version_policy.as_deref().map(parse_policy).transpose()?,
            options: from_table(&raw.options)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_status::Code;

    #[test]
    fn a_model_without_a_file_has_no_settings() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(ModelSettings::read(directory.path()), Ok(ModelSettings::default()));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", directory.path().join(SETTINGS_FILE)).unwrap();
        let status = ModelSettings::read(directory.path()).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().ends_with("model.toml` is not a file"), "{status}");
    }

    #[test]
    fn settings_are_read() {
        let text = "platform = \"onnxruntime\"\nversion_policy = \"all\"\n[options]\nintra_op_threads = 2\n";
        let settings = ModelSettings::parse(text).unwrap();
        assert_eq!(settings.platform.as_deref(), Some("onnxruntime"));
        assert_eq!(settings.version_policy, Some(VersionPolicy::All));
        assert_eq!(settings.options.int("intra_op_threads"), Ok(Some(2)));
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_file_s_name() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(SETTINGS_FILE), "platfrom = \"x\"").unwrap();
        let status = ModelSettings::read(directory.path()).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("model.toml") && status.message().contains("platfrom"), "{status}");
    }
}
