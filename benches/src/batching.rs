//! What batching costs, and what it brings.

mod overhead;

use crate::figures::Promise;

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    overhead::run()
}
