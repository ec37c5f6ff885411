//! The flags that are about batching.

use std::path::Path;

use salver_batching_parameters::Parameters;
use salver_core_platform::{OptionValue, Options};
use salver_core_status::Quoted;

use super::BatchingConfig;
use super::server_file::ServerFile;
use crate::args::ServeArgs;
use crate::options::value_of;

/// One `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchingParameter {
    name: String,
    value: OptionValue,
}

/// Reads `latency_target=20ms`. The value is true, false, a number, or else a text.
pub(crate) fn parse_batching(text: &str) -> Result<BatchingParameter, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok(BatchingParameter { name: name.trim().to_owned(), value: value_of(value.trim()) })
        }
        _ => Err(format!("{} is not of the form NAME=VALUE", Quoted(text))),
    }
}

/// Reads a switch, which may be empty: start scripts give a flag that way that they do not mean to give.
pub(crate) fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(format!("{} is not true or false", Quoted(text))),
    }
}

impl ServeArgs {
    /// What the flags say of batching, and the file that they name.
    ///
    /// # Errors
    /// A sentence that names the flag.
    pub(crate) fn batching(&self) -> Result<BatchingConfig, String> {
        let path = self.batching_parameters_file.as_deref().filter(|path| !path.as_os_str().is_empty());
        let per_model_files = self.enable_per_model_batching_parameters.unwrap_or(false);
        if self.enable_batching == Some(false) && !self.batching.is_empty() {
            return Err("--batching is given and --enable-batching is false".to_owned());
        }
        let enabled = self.enable_batching.unwrap_or(!self.batching.is_empty());
        if !enabled {
            for (flag, is_given) in [
                ("batching-parameters-file", path.is_some()),
                ("enable-per-model-batching-parameters", per_model_files),
            ] {
                if is_given {
                    return Err(format!("--{flag} is given without --enable-batching"));
                }
            }
            return Ok(BatchingConfig::default());
        }
        let config = self.said(path)?;
        Ok(BatchingConfig { enabled, per_model_files, ..config })
    }

    /// What holds for all models, and for those of single platforms: what the flags say counts for either.
    fn said(&self, path: Option<&Path>) -> Result<BatchingConfig, String> {
        let file = path.map(ServerFile::read).transpose();
        let file = file.map_err(|status| format!("--batching-parameters-file: {}", status.message()))?;
        let ServerFile { server, by_platform } = file.unwrap_or_default();
        let mut options = Options::new();
        for parameter in &self.batching {
            options.set(parameter.name.clone(), parameter.value.clone());
        }
        let flags = Parameters::from_options(&options)
            .map_err(|status| format!("--batching: {}", status.message()))?;
        let server = server.over(&flags);
        let by_platform = by_platform
            .into_iter()
            .map(|(platform, parameters)| (platform, parameters.over(&flags)))
            .collect();
        let config = BatchingConfig { server, by_platform, ..BatchingConfig::default() };
        // A mistake is told now, and not by every model that is loaded.
        config.server.resolve().map_err(|status| format!("batching: {}", status.message()))?;
        for platform in config.by_platform.keys() {
            config.of_platform(platform).resolve().map_err(|status| {
                format!("batching of platform {}: {}", Quoted(platform), status.message())
            })?;
        }
        Ok(config)
    }
}
