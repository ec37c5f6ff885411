//! How requests are batched: what the server, a platform, a model and a version say of it, each over the one before.

use std::collections::BTreeMap;
use std::path::Path;

use salver_batching_parameters::{BatchingOptions, Parameters};
use salver_core_servable::Version;
use salver_core_status::Status;

use crate::model::ModelSettings;

/// What the server says of batching.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchingConfig {
    /// Whether requests are batched for models that do not say (`--enable-batching`).
    pub enabled: bool,
    /// What holds for all models.
    pub server: Parameters,
    /// What holds for the models of one platform, over that.
    pub by_platform: BTreeMap<String, Parameters>,
    /// Whether versions have files of their own, `batching_params.pbtxt`, and are not batched without
    /// (`--enable-per-model-batching-parameters`).
    pub per_model_files: bool,
}

impl BatchingConfig {
    /// How the requests of one version are batched; `None`: they are not. May read a file in `version_directory`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the file, if it is in one, and the field that is wrong; UNAVAILABLE where the file
    /// cannot be read.
    pub fn options_for(
        &self,
        platform: &str,
        model: &ModelSettings,
        version: Version,
        version_directory: &Path,
    ) -> Result<Option<BatchingOptions>, Status> {
        let _ = (platform, model, version, version_directory);
        Ok(None)
    }
}
