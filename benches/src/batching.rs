//! What batching costs, and what it brings.

mod chance;
mod clients;
mod decode;
mod network;
mod overhead;
mod picture;
mod raw;
mod served;
mod sweep;
mod torture;

use anyhow::Context as _;

use crate::built;
use crate::figures::Promise;

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let mut promises = overhead::run()?;
    promises.extend(torture::measure().context("sessions with everything on")?);
    promises.extend(decode::measure().context("steps inside a model")?);
    if built::onnxruntime_plugin().is_none() {
        println!(
            "  no model is measured: there is no onnxruntime plugin; `cargo xtask bench batching` packs it"
        );
        return Ok(promises);
    }
    let network = network::Network::write().context("writing a model")?;
    let model = network.load()?;
    promises.extend(served::measure(&*model, network.folder()).context("the server")?);
    if let Some(path) = picture::wanted() {
        sweep::draw(&model, &path).context("a picture")?;
    }
    Ok(promises)
}
