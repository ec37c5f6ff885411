//! What a model says of itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use salver_batching_parameters::Parameters;
use salver_core_platform::{OptionValue, Options};
use salver_core_servable::Version;
use salver_core_status::{Quoted, Status};
use salver_manager_source_file::VersionPolicy;
use serde::Deserialize;

use crate::args::parse_duration;
use crate::batching;
use crate::file::read_text;
use crate::options::from_table;
use crate::policy::{Transition, parse_policy};
use crate::size::parse_bytes;
use crate::text_tree::Tree;
use crate::triton::{self, TRITON_FILE};

/// The name of the file beside a model's versions.
pub const SETTINGS_FILE: &str = "model.toml";

/// The settings of one model. All of them may be left out, and so may the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// Which platform loads it; found by probing where it is not said.
    pub platform: Option<String>,
    /// Which versions to serve; the server's policy where it is not said.
    pub version_policy: Option<VersionPolicy>,
    /// Which version each label stands for.
    pub labels: BTreeMap<String, Version>,
    /// In which order versions come and go; the server's order where it is not said.
    pub transition: Option<Transition>,
    /// How often to look for new versions; the server's interval where it is not said.
    pub poll_interval: Option<Duration>,
    /// A file without which a version counts as not yet complete.
    pub complete_marker: Option<String>,
    /// How much memory a version takes, in bytes; estimated where it is not said.
    pub memory_bytes: Option<u64>,
    /// Whether its versions are loaded at the start and stay, where others are loaded on demand.
    pub pin: bool,
    /// Settings for the platform, over those of the server. `isolation` and what is said under `[signature]` are among them.
    pub options: Options,
    /// How requests are batched, over what the server says; they are batched wherever this is said.
    pub batching: Option<Parameters>,
    /// The same for single versions, over that.
    pub version_batching: BTreeMap<Version, Parameters>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    platform: Option<String>,
    version_policy: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, i64>,
    transition: Option<Transition>,
    poll_interval: Option<String>,
    complete_marker: Option<String>,
    memory: Option<String>,
    #[serde(default)]
    pin: bool,
    /// Where the platform's code is run.
    isolation: Option<String>,
    #[serde(default)]
    options: toml::Table,
    /// For platforms whose files do not say what a model takes and returns.
    signature: Option<toml::Table>,
    batching: Option<toml::Table>,
    #[serde(default)]
    version: BTreeMap<String, RawVersion>,
}

/// What is said of one version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersion {
    batching: Option<toml::Table>,
}

impl ModelSettings {
    /// Reads the settings of the model whose versions are in `directory`. No file: no settings. Where they say nothing of
    /// batching, or of what a TorchScript module takes and returns, what Triton's `config.pbtxt` beside them says of it.
    ///
    /// # Errors
    /// INVALID_ARGUMENT naming the file and what is wrong in it, or what it is in place of a file, whose reading might
    /// never end; UNAVAILABLE where it cannot be read.
    pub fn read(directory: &Path) -> Result<Self, Status> {
        let path = directory.join(SETTINGS_FILE);
        let mut settings = match read_text(&path)? {
            None => Self::default(),
            Some(text) => Self::parse(&text)
                .map_err(|message| Status::invalid_argument(format!("`{}`: {message}", path.display())))?,
        };
        let path = directory.join(TRITON_FILE);
        if let Some(text) = read_text(&path)? {
            let added = Tree::read(&text).map_err(Status::invalid_argument);
            added
                .and_then(|config| settings.add_triton(&config))
                .map_err(|status| status.context(format_args!("`{}`", path.display())))?;
        }
        Ok(settings)
    }

    /// Adds what these settings do not say.
    fn add_triton(&mut self, config: &Tree) -> Result<(), Status> {
        if self.batching.is_none() && self.version_batching.is_empty() {
            self.batching = Some(batching::of_triton(config)?);
        }
        triton::add_options(config, &mut self.options)
    }

    /// Reads settings that are not in a file of this machine.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that says what is wrong in them.
    pub fn of_text(text: &str) -> Result<Self, Status> {
        Self::parse(text).map_err(|message| Status::invalid_argument(format!("`{SETTINGS_FILE}`: {message}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = toml::from_str(text).map_err(|error| error.to_string().trim().replace('\n', " "))?;
        Ok(Self {
            platform: raw.platform,
            version_policy: raw.version_policy.as_deref().map(parse_policy).transpose()?,
            labels: raw.labels.into_iter().map(label).collect::<Result<_, _>>()?,
            transition: raw.transition,
            poll_interval: raw.poll_interval.as_deref().map(parse_duration).transpose()?,
            complete_marker: raw.complete_marker.map(file_name).transpose()?,
            memory_bytes: raw.memory.as_deref().map(parse_bytes).transpose()?.map(|bytes| bytes as u64),
            pin: raw.pin,
            options: with_isolation(
                with_signature(from_table(&raw.options)?, raw.signature)?,
                raw.isolation,
            )?,
            batching: raw.batching.map(|table| batching::of_table("batching", &table)).transpose()?,
            version_batching: version_batching(raw.version)?,
        })
    }
}

/// A signature is for the platform to read, as a text.
fn with_signature(mut options: Options, signature: Option<toml::Table>) -> Result<Options, String> {
    let Some(signature) = signature else { return Ok(options) };
    if options.has("signature") {
        return Err("there are a table [signature] and an option `signature`, one was wanted".to_owned());
    }
    let text = toml::to_string(&signature).map_err(|error| format!("[signature]: {error}"))?;
    options.set("signature", OptionValue::Text(text));
    Ok(options)
}

/// Where the code is run is for the server to read, whether it is said of the model or of its platform.
fn with_isolation(mut options: Options, isolation: Option<String>) -> Result<Options, String> {
    let Some(isolation) = isolation else { return Ok(options) };
    if options.has("isolation") {
        return Err("isolation is said twice, here and among the options; once was wanted".to_owned());
    }
    options.set("isolation", OptionValue::Text(isolation));
    Ok(options)
}

fn version_batching(raw: BTreeMap<String, RawVersion>) -> Result<BTreeMap<Version, Parameters>, String> {
    let mut by_version = BTreeMap::new();
    for (number, raw) in raw {
        let version = number.parse().ok().and_then(Version::new);
        let version = version
            .ok_or_else(|| format!("[version] has {}, a version number was wanted", Quoted(&number)))?;
        if let Some(table) = &raw.batching {
            let parameters = batching::of_table(&format!("version.{version}.batching"), table)?;
            by_version.insert(version, parameters);
        }
    }
    Ok(by_version)
}

fn label((label, number): (String, i64)) -> Result<(String, Version), String> {
    let version = Version::new(number).ok_or_else(|| {
        format!("label {} stands for version {number}, 0 or more was wanted", Quoted(&label))
    })?;
    Ok((label, version))
}

fn file_name(name: String) -> Result<String, String> {
    if name.is_empty() || name.contains('/') || name == ".." {
        return Err(format!("complete_marker is {}, the name of a file was wanted", Quoted(&name)));
    }
    Ok(name)
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
        let text = r#"
            platform = "onnxruntime"
            version_policy = "all"
            transition = "resource-preserving"
            poll_interval = "10s"
            memory = "3GiB"
            pin = true
            [labels]
            stable = 1
            [options]
            intra_op_threads = 2
        "#;
        let settings = ModelSettings::parse(text).unwrap();
        assert_eq!(settings.labels, [("stable".to_owned(), Version::new(1).unwrap())].into());
        assert_eq!(settings.transition, Some(Transition::ResourcePreserving));
        assert_eq!(settings.poll_interval, Some(Duration::from_secs(10)));
        assert_eq!((settings.memory_bytes, settings.pin), (Some(3 << 30), true));
        assert_eq!(settings.platform.as_deref(), Some("onnxruntime"));
        assert_eq!(settings.version_policy, Some(VersionPolicy::All));
        assert_eq!(settings.options.int("intra_op_threads"), Ok(Some(2)));
    }

    #[test]
    fn where_a_model_s_code_is_run_is_said_once() {
        let settings = ModelSettings::parse("isolation = 'process'").unwrap();
        assert_eq!(settings.options.text("isolation"), Ok(Some("process")));
        let twice = ModelSettings::parse("isolation = 'process'\n[options]\nisolation = 'none'\n");
        assert!(twice.unwrap_err().contains("said twice"));
    }

    #[test]
    fn a_signature_is_handed_to_the_platform_as_it_is_written() {
        let text = "[signature]\ninputs = [{ name = \"x\", dtype = \"FP32\", shape = [-1, 64] }]\n";
        let settings = ModelSettings::parse(text).unwrap();
        let signature = settings.options.text("signature").unwrap().unwrap();
        let table = |text| toml::from_str::<toml::Table>(text).unwrap();
        assert_eq!(table(signature), table(&text.replace("[signature]\n", "")));
        let twice = format!("{text}[options]\nsignature = \"\"\n");
        assert!(ModelSettings::parse(&twice).unwrap_err().contains("one was wanted"));
    }

    #[test]
    fn batching_is_said_for_all_versions_and_for_one() {
        let text = r#"
            [batching]
            max_batch_size = 8
            [version.3.batching]
            latency_target = "5ms"
        "#;
        let settings = ModelSettings::parse(text).unwrap();
        assert_eq!(settings.batching.unwrap().max_batch_size, Some(8));
        let version = &settings.version_batching[&Version::new(3).unwrap()];
        assert_eq!(version.latency_target, Some(Duration::from_millis(5)));
        assert_eq!(ModelSettings::parse("[batching]").unwrap().batching, Some(Parameters::default()));
        assert_eq!(ModelSettings::parse("").unwrap().batching, None);
        for (text, part) in [
            (
                "[batching]\nmax_batchsize = 1",
                "[batching]: unknown parameter `max_batchsize`; max_batch_size",
            ),
            ("[version.3.batching]\nmode = 'x'", "[version.3.batching]: mode is `x`"),
            ("[version.x.batching]", "[version] has `x`, a version number was wanted"),
            ("[version.3.bathing]", "bathing"),
        ] {
            let error = ModelSettings::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn triton_s_file_says_of_batching_what_the_settings_leave_out() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(directory.path().join(file), text).unwrap();
        let max_batch_size =
            || ModelSettings::read(directory.path()).unwrap().batching.and_then(|said| said.max_batch_size);
        write("config.pbtxt", "max_batch_size: 8 dynamic_batching { }");
        assert_eq!(max_batch_size(), Some(8));
        write(SETTINGS_FILE, "pin = true\n");
        assert_eq!(max_batch_size(), Some(8));
        write(SETTINGS_FILE, "[batching]\nmax_batch_size = 4\n");
        assert_eq!(max_batch_size(), Some(4));
        write(SETTINGS_FILE, "[version.1.batching]\n");
        assert_eq!(max_batch_size(), None);
        write(SETTINGS_FILE, "");
        write("config.pbtxt", "max_batch_size: x");
        let status = ModelSettings::read(directory.path()).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("config.pbtxt`: max_batch_size is `x`"), "{status}");
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
