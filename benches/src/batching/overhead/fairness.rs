//! What a queue under full load costs another's batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use salver_batching_queue::Batch;

use super::task::{Run, Unit, insist, pool, queue};
use crate::figures::{Promise, Rounds, Want};

/// How long the fake device takes for a batch.
const BATCH: Duration = Duration::from_millis(2);
const COLD: usize = 150;
const HOT_PRODUCERS: usize = 2;

pub(super) fn measure() -> anyhow::Result<Vec<Promise>> {
    println!("  a queue with more than enough to do, and now and then a task in another; batches take 2 ms");
    println!(
        "  {:<10} {:<32} {:<32}",
        "threads", "the other's wait, in batches", "batches that began in between"
    );
    let mut worst: f64 = 0.0;
    for threads in [1, 2] {
        let (waits, between) = round(threads)?;
        println!("  {threads:<10} {waits:<32} {between:<32}");
        worst = worst.max(between.most() / threads as f64);
    }
    let want = Want::AtMost(1.0);
    Ok(vec![Promise::new("batching_hot_batches_before_cold_per_thread", worst, "batches", want)])
}

/// What each task of the cold queue waited, and how many batches of the hot one began meanwhile: each thread may have taken
/// one just before.
fn round(threads: usize) -> anyhow::Result<(Rounds, Rounds)> {
    let scheduler = pool::<Unit>(threads)?;
    let (is_over, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let hot = {
        let begun = Arc::clone(&begun);
        let run = move |_: Batch<Unit>| {
            begun.fetch_add(1, Ordering::SeqCst);
            thread::sleep(BATCH);
        };
        Arc::new(scheduler.add_queue(queue(10, Duration::ZERO, 10), Arc::new(Run(run)))?)
    };
    let (sender, seen) = channel();
    let cold = {
        let begun = Arc::clone(&begun);
        let run = move |_: Batch<Unit>| {
            // Whoever asked has gone only where the round has failed.
            let _ = sender.send((Instant::now(), begun.load(Ordering::SeqCst)));
        };
        scheduler.add_queue(queue(10, Duration::ZERO, 10), Arc::new(Run(run)))?
    };
    let producer = || {
        let (hot, is_over) = (Arc::clone(&hot), Arc::clone(&is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                insist(Unit { pushed: Instant::now() }, |task| {
                    // A full queue is full load: it stays so for longer than this.
                    hot.schedule(task).inspect_err(|_| thread::sleep(BATCH / 20))
                });
            }
        })
    };
    let producers: Vec<_> = (0..HOT_PRODUCERS).map(|_| producer()).collect();
    let (mut waits, mut between) = (Rounds::new(), Rounds::new());
    for task in 0..COLD {
        // At every phase of the hot queue's batches.
        thread::sleep(BATCH * 2 + BATCH * (task % 10) as u32 / 10);
        let (pushed, before) = (Instant::now(), begun.load(Ordering::SeqCst));
        insist(Unit { pushed }, |task| cold.schedule(task));
        let (ran, after) = seen.recv()?;
        waits.push((ran - pushed).as_secs_f64() / BATCH.as_secs_f64());
        between.push((after - before) as f64);
    }
    is_over.store(true, Ordering::Relaxed);
    for producer in producers {
        anyhow::ensure!(producer.join().is_ok(), "a producer panicked");
    }
    Ok((waits, between))
}
