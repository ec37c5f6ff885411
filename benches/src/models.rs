//! The echo models that are measured: `null`, which takes and returns nothing, and `small`, which returns its one input.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use salver_core_platform::{Cancellation, LoadRequest, Model, Options, Platform};
use salver_core_servable::{ServableId, Version};
use salver_core_tensor::{Shape, Tensor};
use salver_platforms_echo::Echo;
use salver_plugins_host::{HostServices, Plugins};
use tempfile::TempDir;

use crate::built;

pub(crate) const NULL: &str = "null";
pub(crate) const SMALL: &str = "small";

/// The name of the input of `small`, and of its output.
pub(crate) const INPUT: &str = "x";

/// The shape of that input, FP32.
pub(crate) const SHAPE: [i64; 2] = [1, 16];

/// A repository of both models.
pub(crate) fn repository() -> anyhow::Result<TempDir> {
    let repository = TempDir::new().context("making a model repository")?;
    let [_, columns] = SHAPE;
    let small = format!(
        "[signatures.serving_default]\ninputs = [{{ name = \"{INPUT}\", dtype = \"FP32\", shape = [-1, {columns}] }}]\n"
    );
    for (name, text) in [(NULL, ""), (SMALL, &small)] {
        let version = repository.path().join(name).join("1");
        std::fs::create_dir_all(&version)?;
        std::fs::write(version.join("echo.toml"), text)?;
    }
    Ok(repository)
}

/// The echo platform, linked into this program.
pub(crate) fn in_process() -> Arc<dyn Platform> {
    Arc::new(Echo::new())
}

/// The echo platform, in its `.so`.
pub(crate) fn plugin() -> anyhow::Result<Arc<dyn Platform>> {
    let plugin = Plugins::new(HostServices::default()).open(&built::echo_plugin()?)?;
    plugin.platforms().first().cloned().context("the echo plugin has no platform")
}

/// The first version of a model called `name`.
pub(crate) fn id(name: &str) -> anyhow::Result<ServableId> {
    Ok(ServableId::new(name, Version::new(1).context("1 is a version")?))
}

/// Loads a model of the repository.
pub(crate) fn load(platform: &dyn Platform, repository: &Path, name: &str) -> anyhow::Result<Box<dyn Model>> {
    let (id, directory) = (id(name)?, repository.join(name).join("1"));
    let (options, cancel) = (Options::new(), Cancellation::NEVER);
    let request = LoadRequest {
        id: &id,
        directory: &directory,
        options: &options,
        cancel,
        batcher: salver_core_platform::unbatched(),
    };
    Ok(platform.load(&request)?)
}

/// What `small` is given.
pub(crate) fn small_input() -> anyhow::Result<Tensor> {
    let shape = Shape::new(&SHAPE)?;
    let values = (0..shape.element_count()).map(|index| index as f32).collect();
    Ok(Tensor::from_vec(shape, values)?)
}
