//! How requests are batched: what the server, a platform, a model and a version say of it, each over the one before.

mod flags;
mod server_file;
mod table;
mod tensorflow;
mod triton;

use std::collections::BTreeMap;
use std::path::Path;

use salver_batching_parameters::{BatchingOptions, Parameters};
use salver_core_servable::Version;
use salver_core_status::Status;

pub(crate) use flags::{BatchingParameter, parse_batching, parse_switch};
pub(crate) use triton::read as of_triton;

use crate::file::read_text;
use crate::model::ModelSettings;
use crate::text_tree::Tree;

/// The name of the file in a version's directory, as TensorFlow Serving has it.
const VERSION_FILE: &str = "batching_params.pbtxt";

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
    /// How the requests of one version are batched; `None`: they are not.
    ///
    /// They are where the server says so, or the model or the version says anything of batching; unless the mode is off in
    /// the end. With `per_model_files` the file in `version_directory` stands in the place of all that is said of server,
    /// platform and model but for the pool's name and threads, and what the server says by itself turns nothing on. What
    /// the model says of this version is over all of it.
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
        let mut is_batched = self.enabled && !self.per_model_files;
        let mut said = self.of_platform(platform);
        if let Some(model) = &model.batching {
            said = said.over(model);
            is_batched = true;
        }
        if self.per_model_files
            && let Some(file) = of_version(version_directory)?
        {
            said = with_pool_of(&said, file);
            is_batched = true;
        }
        if let Some(version) = model.version_batching.get(&version) {
            said = said.over(version);
            is_batched = true;
        }
        if is_batched { said.resolve().map_err(|status| status.context("batching")) } else { Ok(None) }
    }

    fn of_platform(&self, platform: &str) -> Parameters {
        match self.by_platform.get(platform) {
            Some(parameters) => self.server.over(parameters),
            None => self.server.clone(),
        }
    }
}

/// Reads TensorFlow Serving's `BatchingParameters` in protobuf's text format, as in `--batching-parameters-file` and
/// `batching_params.pbtxt`.
///
/// # Errors
/// INVALID_ARGUMENT that names the field and says where it is, or what was found and what was wanted.
pub fn parse_tensorflow_batching(text: &str) -> Result<Parameters, Status> {
    tensorflow::read(text)
}

/// Reads what Triton's `config.pbtxt` says of batching: `max_batch_size` and `dynamic_batching`, and nothing else of it.
///
/// The mode is [`Off`](salver_batching_parameters::Mode::Off) where `max_batch_size` is 0 or there is no
/// `dynamic_batching`. Else all is said that Triton says, its defaults too, so that nothing but the pool's settings is left
/// to the server. Triton's queues have no end unless `max_queue_size` says one; here 100,000 batches may wait then.
///
/// # Errors
/// INVALID_ARGUMENT that says in which line, or names the field, what was found and what was wanted.
pub fn parse_triton_batching(text: &str) -> Result<Parameters, Status> {
    of_triton(&Tree::read(text).map_err(Status::invalid_argument)?)
}

/// What a table of a settings file says, by the table's name.
pub(crate) fn of_table(name: &str, table: &toml::Table) -> Result<Parameters, String> {
    table::read(table).map_err(|message| format!("[{name}]: {message}"))
}

fn of_version(directory: &Path) -> Result<Option<Parameters>, Status> {
    let path = directory.join(VERSION_FILE);
    let Some(text) = read_text(&path)? else { return Ok(None) };
    let said =
        tensorflow::read(&text).map_err(|status| status.context(format_args!("`{}`", path.display())))?;
    Ok(Some(said))
}

/// What a version's file says; threads are the server's to share out.
fn with_pool_of(said: &Parameters, file: Parameters) -> Parameters {
    Parameters {
        num_batch_threads: said.num_batch_threads,
        thread_pool_name: said.thread_pool_name.clone(),
        rank_queues: said.rank_queues,
        ..file
    }
}

#[cfg(test)]
mod tests;
