//! What a model's versions coming and going costs others, its own requests and the machine.
//!
//! The server and ONNX Runtime's plugin are the real ones; large models are written for the purpose. All of it shares the
//! machine with the load.

mod answers;
mod control;
mod large;
mod many;
mod open_loop;
mod resident;
mod rollback;
mod swaps;
mod tail;
mod weather;
mod within;

use anyhow::{Context as _, bail};

use crate::built;
use crate::figures::Promise;

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    if built::onnxruntime_plugin().is_none() {
        bail!("there is no onnxruntime plugin; `cargo xtask bench swap` packs it");
    }
    // All large models come from one place, and are written once.
    let large = large::Large::write().context("writing large models")?;
    let runtime = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("starting a runtime")
    };
    let mut promises = runtime()?.block_on(swaps::measure()).context("swaps under load")?;
    promises.extend(tail::measure(&runtime()?, &large).context("another model loads")?);
    promises.extend(within::measure(&large).context("another model loads in the same process")?);
    promises.extend(runtime()?.block_on(resident::measure(&large)).context("resident memory")?);
    promises.extend(many::measure().context("many models")?);
    promises.extend(runtime()?.block_on(rollback::measure()).context("rollback")?);
    Ok(promises)
}
