//! Tasks a second through one queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use salver_batching_queue::Batch;

use super::task::{Run, Unit, insist, pool, queue};
use crate::figures::{Promise, Rounds, Want};
use crate::machine::cores;

const ROUNDS: usize = 7;
const PRODUCERS: u64 = 4;
const TASKS: u64 = 2_000_000;
const BATCH: usize = 100;
const PROMISED_MILLIONS: f64 = 2.0;

pub(super) fn measure() -> anyhow::Result<Vec<Promise>> {
    let shapes = [
        ("no wait", Duration::ZERO, BATCH),
        ("1 ms", Duration::from_millis(1), BATCH),
        ("no batches", Duration::ZERO, 1),
    ];
    let mut figures = shapes.map(|_| [const { Rounds::new() }; 2]);
    for _ in 0..ROUNDS {
        for ((_, timeout, size), figures) in shapes.iter().zip(&mut figures) {
            let [millions, rows] = round(*timeout, *size)?;
            let [all_millions, all_rows] = figures;
            all_millions.push(millions);
            all_rows.push(rows);
        }
    }
    println!(
        "  {PRODUCERS} producers, tasks of 1 row, batches of up to {BATCH}, {} threads that do nothing",
        cores()
    );
    println!("  {:<24} {:<24} {:<24}", "time-out", "million tasks/s", "rows a batch");
    for ((name, ..), [millions, rows]) in shapes.iter().zip(&figures) {
        println!("  {name:<24} {millions:<24} {rows:<24}");
    }
    let [_, [millions, _], _] = &figures;
    let want = Want::AtLeast(PROMISED_MILLIONS);
    Ok(vec![Promise::new("batching_tasks_per_second", millions.median(), "million/s", want)])
}

/// Million tasks a second from the first that is scheduled to the last that has run, and the rows of a batch.
fn round(timeout: Duration, size: usize) -> anyhow::Result<[f64; 2]> {
    let scheduler = pool::<Unit>(cores())?;
    let (ran, batches) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let consumer = {
        let (ran, batches) = (Arc::clone(&ran), Arc::clone(&batches));
        Arc::new(Run(move |batch: Batch<Unit>| {
            ran.fetch_add(batch.tasks.len() as u64, Ordering::Relaxed);
            batches.fetch_add(1, Ordering::Relaxed);
        }))
    };
    let queue = scheduler.add_queue(queue(size, timeout, 100_000 / size), consumer)?;
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..PRODUCERS {
            scope.spawn(|| {
                for _ in 0..TASKS / PRODUCERS {
                    insist(Unit { pushed: start }, |task| queue.schedule(task));
                }
            });
        }
    });
    queue.close();
    let took = start.elapsed().as_secs_f64();
    let ran = ran.load(Ordering::Relaxed);
    anyhow::ensure!(ran == TASKS, "{ran} tasks ran of {TASKS}");
    Ok([TASKS as f64 / 1e6 / took, TASKS as f64 / batches.load(Ordering::Relaxed).max(1) as f64])
}
