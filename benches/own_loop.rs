//! What the programs share that are a framework's own loop, `platforms/*/examples/*_loop.rs`: they run a model when they
//! are told to, and say how often they did.

use std::error::Error;
use std::fmt::Display;
use std::io::BufRead as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUND: Duration = Duration::from_millis(400);

/// For each line on standard input, which is a number of threads, runs for a while on as many and prints a line: how often,
/// and in how many seconds.
pub(crate) fn obey<R, E: Display>(run: impl Fn() -> Result<R, E> + Sync) -> Result<(), Box<dyn Error>> {
    // What frameworks put off until they are used.
    run().map_err(|error| error.to_string())?;
    for line in std::io::stdin().lock().lines() {
        let threads: usize = line?.trim().parse()?;
        let (count, start) = (AtomicU64::new(0), Instant::now());
        let work = || {
            while start.elapsed() < ROUND {
                drop(run().map_err(|error| error.to_string())?);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, String>(())
        };
        std::thread::scope(|scope| {
            let loops: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |each: std::thread::ScopedJoinHandle<'_, Result<(), String>>| {
                each.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))
            };
            loops.into_iter().try_for_each(join)
        })?;
        println!("{} {}", count.into_inner(), start.elapsed().as_secs_f64());
    }
    Ok(())
}
