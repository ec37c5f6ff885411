//! What the model itself gains from larger batches: runs through the plugin, in this process, with nothing in between.

use std::thread;
use std::time::{Duration, Instant};

use salver_core_platform::Model;
use salver_core_tensor::Tensor;

use super::network;

/// Runs the model again and again with so many rows, from so many threads at once; rows per second.
pub(super) fn measure(
    model: &dyn Model,
    rows: &Tensor,
    callers: usize,
    duration: Duration,
) -> anyhow::Result<f64> {
    let start = Instant::now();
    let caller = || {
        let mut runs = 0u32;
        while start.elapsed() < duration {
            network::run(model, rows)?;
            runs += 1;
        }
        anyhow::Ok((runs, start.elapsed()))
    };
    let done: anyhow::Result<Vec<(u32, Duration)>> = thread::scope(|scope| {
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        let join = |caller: thread::ScopedJoinHandle<'_, _>| {
            caller.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
        };
        callers.into_iter().map(join).collect()
    });
    let size = rows.shape().dims().first().copied().unwrap_or(0) as f64;
    Ok(done?.iter().map(|(runs, took)| f64::from(*runs) * size / took.as_secs_f64()).sum())
}
