//! The memory of a server after a large model came and went, again and again.

use std::time::Instant;

use super::control;
use super::large::{CYCLED, Large};
use crate::figures::{Figure, Promise, Want};

const CYCLES: u32 = 100;
/// Cycles whose memory is shown.
const SHOWN: [u32; 8] = [1, 2, 5, 10, 20, 50, 75, 100];
const PROMISED_RATIO: f64 = 1.05;

pub(super) async fn measure(large: &Large) -> anyhow::Result<Vec<Promise>> {
    let server = control::server()?;
    let folder = large.model(CYCLED);
    let idle = server.memory("VmRSS")?;
    let mut after = Vec::new();
    let mut loaded = 0.0;
    let start = Instant::now();
    for _ in 0..CYCLES {
        control::reload(server.address, control::only("cycled", &folder, 1)).await?;
        loaded = server.memory("VmRSS")?;
        control::reload(server.address, control::none()).await?;
        // Its state is that of the end when its memory was given back.
        control::wait_until_gone(server.address, "cycled").await?;
        after.push(server.memory("VmRSS")?);
    }
    let seconds = start.elapsed().as_secs_f64() / f64::from(CYCLES);
    let [bytes, idle, loaded] = [CYCLED.bytes as f64, idle, loaded].map(|bytes| Figure(bytes / 1e6));
    println!("  a model of {bytes} MB loaded and unloaded in {} s, {CYCLES} times", Figure(seconds));
    println!("  resident: {idle} MB before the first, {loaded} MB with the model loaded");
    let shown: Vec<String> = (1..)
        .zip(&after)
        .filter(|(cycle, _)| SHOWN.contains(cycle))
        .map(|(cycle, bytes)| format!("{cycle}: {}", Figure(bytes / 1e6)))
        .collect();
    println!("  MB resident after cycle {}", shown.join(", "));
    let ratio = after.last().zip(after.first()).map_or(f64::NAN, |(last, first)| last / first);
    let name = format!("resident_after_{CYCLES}_cycles");
    Ok(vec![Promise::new(name, ratio, "of after the first", Want::AtMost(PROMISED_RATIO))])
}
