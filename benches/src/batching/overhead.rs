//! What the scheduler costs, with a device that does nothing, or next to it.

mod fairness;
mod task;
mod throughput;
mod torture;
mod wait;

use crate::figures::Promise;

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let mut promises = throughput::measure()?;
    promises.extend(wait::measure()?);
    promises.extend(fairness::measure()?);
    promises.extend(torture::measure()?);
    Ok(promises)
}
