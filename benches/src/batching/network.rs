//! The model that is batched: a chain of dense layers, whose weights are read from memory once a run, however many rows
//! it has.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use salver_core_platform::{
    Cancellation, LoadRequest, Model, Options, Platform, RequestContext, RunRequest, unbatched,
};
use salver_core_tensor::{Shape, Tensor};
use salver_plugins_host::{HostServices, Plugins};
use salver_tests_weights::WIDTH;
use tempfile::TempDir;

use crate::{built, models};

/// Layers of 4 MiB each. Enough that a run of one row takes milliseconds and of many tens of them: the network's part of
/// an answer is then small.
const WEIGHT_BYTES: u64 = 384 << 20;

/// A folder with the model in it.
pub(super) struct Network(TempDir);

impl Network {
    pub(super) fn write() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        salver_tests_weights::write_model(&folder.path().join("model.onnx"), WEIGHT_BYTES)?;
        Ok(Self(folder))
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Loads it in this process, through the plugin: on ONNX Runtime's pool of as many threads as there are cores.
    pub(super) fn load(&self) -> anyhow::Result<Arc<dyn Model>> {
        let path = built::onnxruntime_plugin().context("there is no onnxruntime plugin")?;
        let plugin = Plugins::new(HostServices::default()).open(&path)?;
        let platform: &Arc<dyn Platform> =
            plugin.platforms().first().context("the plugin has no platform")?;
        let request = LoadRequest {
            id: &models::id("network")?,
            directory: self.folder(),
            options: &Options::new(),
            cancel: Cancellation::NEVER,
            batcher: unbatched(),
        };
        Ok(Arc::from(platform.load(&request)?))
    }
}

/// What a client asks: a row that no other has.
pub(super) fn row(client: usize) -> Vec<f32> {
    (0..usize::from(WIDTH)).map(|column| ((column * 7 + client * 131) % 257) as f32 / 128.0 - 1.0).collect()
}

/// The rows of so many clients.
pub(super) fn rows(clients: usize) -> anyhow::Result<Tensor> {
    let values: Vec<f32> = (0..clients).flat_map(row).collect();
    Ok(Tensor::from_vec(Shape::new(&[clients as i64, i64::from(WIDTH)])?, values)?)
}

/// Runs the model by itself.
pub(super) fn run(model: &dyn Model, rows: &Tensor) -> anyhow::Result<Tensor> {
    let context = RequestContext::default();
    let request =
        RunRequest { signature: 0, inputs: &[Some(rows.view())], outputs: &[0], context: context.lend() };
    model.run(&request)?.pop().context("the model returned nothing")
}

/// What the model answers to each of so many clients by itself, as bytes.
pub(super) fn answers(model: &dyn Model, clients: usize) -> anyhow::Result<Vec<Bytes>> {
    let answer = |client| {
        let row = Tensor::from_vec(Shape::new(&[1, i64::from(WIDTH)])?, row(client))?;
        Ok(Bytes::copy_from_slice(run(model, &row)?.fixed().context("floats have a fixed size")?))
    };
    (0..clients).map(answer).collect()
}

/// Whether an answer is what is wanted, as far as kernels for other batch sizes compute the same.
pub(super) fn is_close(answer: &[u8], wanted: &[u8]) -> bool {
    let values = |bytes: &[u8]| -> Vec<f32> {
        let values = bytes.chunks_exact(size_of::<f32>());
        values.map(|bytes| bytes.try_into().map_or(f32::NAN, f32::from_le_bytes)).collect()
    };
    let (answer, wanted) = (values(answer), values(wanted));
    answer.len() == wanted.len() && answer.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-3)
}
