//! Which models to serve, as TensorFlow Serving's `ModelServerConfig` says it.
//!
//! The same message comes as a text file (`--model-config-file`) and as a request to reload. Both end as a
//! [`ModelList`], of which everything that can be wrong with it has been checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use salver_core_servable::{StreamName, Version};
use salver_core_status::{Quoted, Status};
use salver_manager_source_file::VersionPolicy;
use salver_proto::tensorflow::serving::file_system_storage_path_source_config::{
    ServableVersionPolicy, servable_version_policy::PolicyChoice,
};
use salver_proto::tensorflow::serving::model_server_config::Config;
use salver_proto::tensorflow::serving::{ModelConfig, ModelServerConfig, ModelType};

use crate::text_proto;

/// Which models to serve, each by its own name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelList {
    /// The models, no name twice.
    pub models: Vec<ModelEntry>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// What clients call it.
    pub name: StreamName,
    /// Where its versions are.
    pub base: Location,
    /// Which platform loads it; found by probing where it is not said.
    pub platform: Option<String>,
    /// Which versions to serve; the model's own settings or the server's policy where it is not said.
    pub versions: Option<VersionPolicy>,
    /// Which version each label stands for; the model's own settings where there are none.
    pub labels: BTreeMap<String, Version>,
}

/// Where models are stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// In a folder.
    Folder(PathBuf),
    /// In an object store, or on a web server.
    Url(String),
}

impl Location {
    /// Reads a path, or a URL such as `s3://bucket/models`. `file://` is a path.
    ///
    /// # Errors
    /// A sentence, where it is empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path is empty".to_owned());
        }
        if let Some(path) = text.strip_prefix("file://") {
            let path = path.strip_prefix("localhost").unwrap_or(path);
            return Ok(Location::Folder(PathBuf::from(path)));
        }
        Ok(if text.contains("://") {
            Location::Url(text.trim_end_matches('/').to_owned())
        } else {
            Location::Folder(PathBuf::from(text))
        })
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Location::Folder(path) => Some(path),
            Location::Url(_) => None,
        }
    }
}

/// Shows as it was written.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(path) => write!(f, "{}", path.display()),
            Location::Url(url) => f.write_str(url),
        }
    }
}

impl ModelList {
    /// Reads a file of the text form.
    ///
    /// # Errors
    /// UNAVAILABLE where the file cannot be read; else as [`parse`](Self::parse), with the file's name.
    pub fn read(path: &Path) -> Result<Self, Status> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Status::unavailable(format!("reading `{shown}`: {error}")))?;
        Self::parse(&text).map_err(|status| status.context(format_args!("`{shown}`")))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that says where, and what was wanted; or as [`from_proto`](Self::from_proto).
    pub fn parse(text: &str) -> Result<Self, Status> {
        Self::from_proto(text_proto::read("tensorflow.serving.ModelServerConfig", text)?)
    }

    /// Checks a message.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the model and the field, and says what was found and what was wanted.
    pub fn from_proto(config: ModelServerConfig) -> Result<Self, Status> {
        let list = match config.config {
            Some(Config::ModelConfigList(list)) => list,
            Some(Config::CustomModelConfig(_)) => {
                let message = "custom_model_config is given, model_config_list was wanted";
                return Err(Status::invalid_argument(message));
            }
            None => return Err(Status::invalid_argument("model_config_list is missing")),
        };
        let mut names = BTreeSet::new();
        let mut models = Vec::with_capacity(list.config.len());
        for config in list.config {
            let shown = Quoted(&config.name).to_string();
            let entry = entry(config)
                .map_err(|message| Status::invalid_argument(format!("model {shown}: {message}")))?;
            if !names.insert(entry.name.clone()) {
                return Err(Status::invalid_argument(format!("model {shown} is in the list twice")));
            }
            models.push(entry);
        }
        Ok(Self { models })
    }
}

fn entry(config: ModelConfig) -> Result<ModelEntry, String> {
    #[expect(deprecated, reason = "old configuration files have the field")]
    let model_type = ModelType::try_from(config.model_type).unwrap_or(ModelType::Unspecified);
    if config.name.is_empty() || config.name.contains('/') {
        return Err("name is empty or has a slash".to_owned());
    }
    let base = Location::parse(&config.base_path).map_err(|_| "base_path is missing".to_owned())?;
    if base.folder().is_some_and(|path| !path.is_absolute()) {
        let path = Quoted(&config.base_path);
        return Err(format!("base_path is {path}, an absolute path or a URL was wanted"));
    }
    if !config.model_platform.is_empty() && model_type != ModelType::Unspecified {
        return Err("both model_platform and model_type are given, one was wanted".to_owned());
    }
    let platform = match model_type {
        ModelType::Tensorflow => Some("tensorflow".to_owned()),
        ModelType::Other => return Err("model_type is OTHER, model_platform was wanted".to_owned()),
        ModelType::Unspecified => Some(config.model_platform).filter(|platform| !platform.is_empty()),
    };
    let versions = config.model_version_policy.and_then(version_policy).transpose()?;
    let mut labels = BTreeMap::new();
    for label in config.version_labels {
        if label.key.is_empty() {
            return Err("version_labels has an empty label".to_owned());
        }
        let version = Version::new(label.value).ok_or_else(|| {
            format!("label {} stands for version {}, 0 or more was wanted", Quoted(&label.key), label.value)
        })?;
        labels.insert(label.key, version);
    }
    Ok(ModelEntry { name: config.name.into(), base, platform, versions, labels })
}

fn version_policy(policy: ServableVersionPolicy) -> Option<Result<VersionPolicy, String>> {
    let policy = match policy.policy_choice? {
        PolicyChoice::All(_) => VersionPolicy::All,
        PolicyChoice::Latest(latest) => {
            VersionPolicy::Latest(usize::try_from(latest.num_versions).unwrap_or(usize::MAX).max(1))
        }
        PolicyChoice::Specific(specific) => {
            let version = |number: i64| {
                Version::new(number).ok_or_else(|| {
                    format!("model_version_policy asks for version {number}, 0 or more was wanted")
                })
            };
            match specific.versions.into_iter().map(version).collect() {
                Ok(versions) => VersionPolicy::Specific(versions),
                Err(error) => return Some(Err(error)),
            }
        }
    };
    Some(Ok(policy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_status::Code;

    fn version(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    #[test]
    fn the_text_form_is_read() {
        let list = ModelList::parse(
            r#"
            # As in TensorFlow Serving's own examples.
            model_config_list: {
              config: {
                name: "half_plus_two",
                base_path: "/models/half_plus_two",
                model_platform: "tensorflow"
                model_version_policy { specific { versions: 123 versions: 124 } }
                version_labels { key: 'stable' value: 123 }
                version_labels { key: 'canary' value: 124 }
              }
              config {
                name: "bucket"
                base_path: "s3://models/bucket/"
                model_version_policy: { latest: { num_versions: 2 } }
                logging_config { sampling_config { sampling_rate: 0.5 } }
              }
            }
            "#,
        )
        .unwrap();
        let [first, second] = list.models.as_slice() else { panic!("{list:?}") };
        assert_eq!(first.base, Location::Folder("/models/half_plus_two".into()));
        assert_eq!(first.versions, Some(VersionPolicy::Specific(vec![version(123), version(124)])));
        assert_eq!(first.labels, [("canary".into(), version(124)), ("stable".into(), version(123))].into());
        assert_eq!(second.base, Location::Url("s3://models/bucket".into()));
        assert_eq!(second.versions, Some(VersionPolicy::Latest(2)));
        assert_eq!(second.platform, None);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_model_s_name() {
        let of = |fields: &str| format!("model_config_list {{ config {{ name: 'm' {fields} }} }}");
        for (text, part) in [
            (of(""), "model `m`: base_path is missing"),
            (of("base_path: 'models/m'"), "base_path is `models/m`, an absolute path or a URL was wanted"),
            (
                of("base_path: '/m' model_type: TENSORFLOW model_platform: 'onnxruntime'"),
                "both model_platform and model_type are given",
            ),
            (
                of("base_path: '/m' version_labels { key: 'stable' value: -1 }"),
                "label `stable` stands for version -1",
            ),
            (
                of("base_path: '/m' model_version_policy { specific { versions: -2 } }"),
                "model_version_policy asks for version -2",
            ),
            (
                "model_config_list { config { name: 'm' base_path: '/a' } config { name: 'm' base_path: '/b' } }"
                    .to_owned(),
                "model `m` is in the list twice",
            ),
            ("model_config_list { config { name: 'a/b' base_path: '/a' } }".to_owned(), "has a slash"),
            (String::new(), "model_config_list is missing"),
            (
                of("base_pth: '/m'"),
                "Error parsing text-format tensorflow.serving.ModelServerConfig",
            ),
        ] {
            let status = ModelList::parse(&text).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{text}");
            assert!(status.message().contains(part), "{text}: {status}");
        }
    }

    #[test]
    fn a_place_is_a_folder_or_a_url() {
        assert_eq!(Location::parse("file:///models"), Ok(Location::Folder("/models".into())));
        assert_eq!(Location::parse("gs://bucket/a/"), Ok(Location::Url("gs://bucket/a".into())));
        assert_eq!(Location::parse("models"), Ok(Location::Folder("models".into())));
        assert!(Location::parse("").is_err());
    }
}
