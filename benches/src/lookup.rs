//! From a name and a version to a handle and back, quiet and while a writer swaps a version every millisecond.
//!
//! The shape is that of TensorFlow Serving's `BM_GetServableHandle`: 10 streams of 2 versions, 1024 requests drawn
//! beforehand, of which 80 % ask for the latest version and 20 % for a specific one.

mod contenders;

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use salver_core_servable::{Version, VersionChoice};

use crate::figures::{Promise, Rounds, Want, thread_cpu_time};
use crate::machine::cores;
use contenders::{Contender, Locked, Salver, Swapped};

const STREAMS: usize = 10;
const VERSIONS: [i64; 2] = [1, 2];
const REQUESTS: usize = 1024;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(100);
const SWAP_EVERY: Duration = Duration::from_millis(1);
const PROMISED_MILLIONS: f64 = 10.0;

/// One look-up to do.
struct Request {
    name: String,
    choice: VersionChoice<'static>,
}

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let requests = draw();
    let (salver, locked, swapped) = (Salver::new(), Locked::new(), Swapped::new());
    let mut threads = vec![1, cores(), 4, 8];
    threads.sort_unstable();
    threads.dedup();

    let mut series: Vec<Series<'_>> = Vec::new();
    for &threads in &threads {
        for is_swapping in [false, true] {
            series.push(Series::new("serving map", &salver, threads, is_swapping));
            if threads <= cores() {
                series.push(Series::new("RwLock<HashMap> of Arcs", &locked, threads, is_swapping));
                series.push(Series::new("ArcSwap<HashMap> of Arcs", &swapped, threads, is_swapping));
            }
        }
    }
    for _ in 0..ROUNDS {
        for one in &mut series {
            one.round(&requests)?;
        }
    }

    println!(
        "  million look-ups per second of a thread's CPU time, handle dropped; all threads together by the clock"
    );
    println!("  {:<26} {:>7}  {:<8} {:<22} {:<22}", "", "threads", "writer", "per core", "by the clock");
    for one in &series {
        let (threads, writer) = (one.threads, if one.is_swapping { "swaps" } else { "quiet" });
        println!("  {:<26} {threads:>7}  {writer:<8} {:<22} {:<22}", one.name, one.per_core, one.together);
    }
    let at_all_cores = |is_swapping: bool| {
        let all_cores = |one: &&Series<'_>| {
            one.threads == cores() && one.is_swapping == is_swapping && one.name == "serving map"
        };
        series.iter().find(all_cores).map_or(0.0, |one| one.per_core.median())
    };
    let promise = |name, value| Promise::new(name, value, "million/s", Want::AtLeast(PROMISED_MILLIONS));
    Ok(vec![
        promise("lookup_per_second_per_core.quiet", at_all_cores(false)),
        promise("lookup_per_second_per_core.swapping", at_all_cores(true)),
    ])
}

/// The requests, the same in every run.
fn draw() -> Vec<Request> {
    // Marsaglia's xorshift: any sequence without a pattern does.
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut below = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % bound
    };
    let mut request = || {
        let name = name_of(below(STREAMS as u64) as usize);
        let is_latest = below(100) < 80;
        let [older, newer] = VERSIONS;
        let version = Version::new(if below(2) == 0 { older } else { newer });
        let choice = match version {
            Some(version) if !is_latest => VersionChoice::Specific(version),
            _ => VersionChoice::Latest,
        };
        Request { name, choice }
    };
    (0..REQUESTS).map(|_| request()).collect()
}

fn name_of(stream: usize) -> String {
    format!("stream-{stream}")
}

/// The figures of one contender under one load.
struct Series<'a> {
    name: &'static str,
    contender: &'a dyn Measure,
    threads: usize,
    is_swapping: bool,
    per_core: Rounds,
    together: Rounds,
}

impl<'a> Series<'a> {
    fn new(name: &'static str, contender: &'a dyn Measure, threads: usize, is_swapping: bool) -> Self {
        let (per_core, together) = Default::default();
        Self { name, contender, threads, is_swapping, per_core, together }
    }

    fn round(&mut self, requests: &[Request]) -> anyhow::Result<()> {
        let (is_done, ready) = (AtomicBool::new(false), Barrier::new(self.threads + 1));
        let (is_done, ready, contender) = (&is_done, &ready, self.contender);
        let (counts, elapsed) = thread::scope(|scope| {
            let readers: Vec<_> = (0..self.threads)
                .map(|_| {
                    scope.spawn(move || {
                        ready.wait();
                        contender.read(requests, is_done)
                    })
                })
                .collect();
            if self.is_swapping {
                scope.spawn(move || contender.write(is_done));
            }
            ready.wait();
            let start = std::time::Instant::now();
            thread::sleep(ROUND);
            is_done.store(true, Ordering::Relaxed);
            let counts: Vec<_> =
                readers.into_iter().map(|reader| reader.join().unwrap_or_default()).collect();
            (counts, start.elapsed())
        });
        let misses: u64 = counts.iter().map(|count| count.misses).sum();
        anyhow::ensure!(misses == 0, "{}: {misses} look-ups found nothing", self.name);
        let millions = |found: u64| found as f64 / 1e6;
        let per_core: f64 = counts.iter().map(|count| millions(count.found) / count.cpu.as_secs_f64()).sum();
        self.per_core.push(per_core / counts.len() as f64);
        self.together.push(millions(counts.iter().map(|count| count.found).sum()) / elapsed.as_secs_f64());
        Ok(())
    }
}

/// What one thread did.
#[derive(Default)]
struct Count {
    found: u64,
    misses: u64,
    cpu: Duration,
}

/// A contender at work. The loops are generic, so that nothing but the look-up is called through a pointer.
trait Measure: Sync {
    fn read(&self, requests: &[Request], is_done: &AtomicBool) -> Count;
    fn write(&self, is_done: &AtomicBool);
}

impl<C: Contender> Measure for C {
    fn read(&self, requests: &[Request], is_done: &AtomicBool) -> Count {
        let (mut count, start) = (Count::default(), thread_cpu_time());
        while !is_done.load(Ordering::Relaxed) {
            for Request { name, choice } in requests {
                let is_found = self.look_up(black_box(name), black_box(*choice));
                count.found += u64::from(is_found);
                count.misses += u64::from(!is_found);
            }
        }
        count.cpu = thread_cpu_time() - start;
        count
    }

    /// Replaces the newer version of each stream in turn.
    fn write(&self, is_done: &AtomicBool) {
        let [_, newer] = VERSIONS;
        for stream in (0..STREAMS).cycle() {
            if is_done.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(SWAP_EVERY);
            self.swap(&name_of(stream), newer);
        }
    }
}
