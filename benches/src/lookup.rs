//! From a name and a version to a handle and back, quiet and while a writer swaps a version every millisecond.
//!
//! The shapes are those of TensorFlow Serving's `core/aspired_versions_manager_benchmark.cc`: `BM_GetServableHandle`
//! on one thread, and `BM_{NoWork,Work}_{NoUpdates,FrequentUpdates}_Reads` on 1 to 64. Beside the serving map stand
//! what one would write without it. `cargo bench -p salver-benches` has those of one thread in criterion's form.

mod contenders;
mod histogram;
mod load;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use crate::figures::{Figure, Promise, Rounds, Want};
use crate::machine::cores;
use contenders::{Contender as _, Locked, Request, STREAMS, Salver, Sharded, Swapped, VERSIONS, draw, label};
use histogram::Histogram;
use load::{AtWork, Count, Done, round};
use salver_core_servable::VersionChoice;

const ROUNDS: usize = 5;
const THREADS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const PROMISED_MILLIONS: f64 = 10.0;

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let promises = handles()?;
    reads()?;
    tails();
    Ok(promises)
}

/// Every contender with this many streams of these versions.
fn contenders(streams: usize, versions: &[i64]) -> [Box<dyn AtWork>; 4] {
    [
        Box::new(Salver::holding(streams, versions)),
        Box::new(Swapped::holding(streams, versions)),
        Box::new(Locked::holding(streams, versions)),
        Box::new(Sharded::holding(streams, versions)),
    ]
}

/// `BM_GetServableHandle`, and the same on every core, by label, and with swaps: what is promised.
fn handles() -> anyhow::Result<Vec<Promise>> {
    let contenders = contenders(STREAMS, &VERSIONS);
    let labelled = Salver::holding(STREAMS, &VERSIONS);
    let [older, _] = VERSIONS;
    label(&labelled, STREAMS, older);
    let drawn = draw();
    let stable = |Request { name, .. }: &Request| Request {
        name: name.clone(),
        choice: VersionChoice::Label("stable"),
    };
    let by_label: Vec<Request> = drawn.iter().map(stable).collect();

    let mut threads = vec![1, cores()];
    threads.dedup();
    let mut series = Vec::new();
    for threads in threads {
        for is_swapping in [false, true] {
            for contender in &contenders {
                series.push(Handles::new(contender.name(), contender.as_ref(), &drawn, threads, is_swapping));
            }
            series.push(Handles::new(BY_LABEL, &labelled, &by_label, threads, is_swapping));
        }
    }
    for _ in 0..ROUNDS {
        for one in &mut series {
            one.round()?;
        }
    }

    println!("  10 streams of 2 versions, 80 % latest, 20 % specific; handle dropped (BM_GetServableHandle)");
    println!(
        "  million look-ups per second of a thread's CPU time; and of all threads together by the clock"
    );
    println!("  {:<22} {:>7}  {:<8} {:<24} {:<24}", "", "threads", "writer", "per core", "by the clock");
    for one in &series {
        let writer = if one.is_swapping { "swaps" } else { "quiet" };
        let Handles { name, threads, per_core, together, .. } = one;
        println!("  {name:<22} {threads:>7}  {writer:<8} {per_core:<24} {together:<24}");
    }
    let promise = |what: &str, name: &str, is_swapping: bool| {
        let on_all_cores =
            |one: &&Handles<'_>| (one.name, one.threads, one.is_swapping) == (name, cores(), is_swapping);
        let found = series.iter().find(on_all_cores).map_or(0.0, |one| one.per_core.median());
        Promise::new(
            format!("lookup_per_second_per_core.{what}"),
            found,
            "million/s",
            Want::AtLeast(PROMISED_MILLIONS),
        )
    };
    Ok(vec![
        promise("quiet", Salver::NAME, false),
        promise("swapping", Salver::NAME, true),
        promise("by_label.quiet", BY_LABEL, false),
        promise("by_label.swapping", BY_LABEL, true),
    ])
}

const BY_LABEL: &str = "serving map, by label";

/// The figures of one contender under one load.
struct Handles<'a> {
    name: &'static str,
    contender: &'a dyn AtWork,
    requests: &'a [Request],
    threads: usize,
    is_swapping: bool,
    per_core: Rounds,
    together: Rounds,
}

impl<'a> Handles<'a> {
    fn new(
        name: &'static str,
        contender: &'a dyn AtWork,
        requests: &'a [Request],
        threads: usize,
        is_swapping: bool,
    ) -> Self {
        let (per_core, together) = Default::default();
        Self { name, contender, requests, threads, is_swapping, per_core, together }
    }

    fn round(&mut self) -> anyhow::Result<()> {
        let turn = AtomicUsize::new(0);
        let replace = || self.contender.replace(turn.fetch_add(1, Ordering::Relaxed));
        let read = |end: &_| self.contender.answer(self.requests, end);
        let done = round(self.threads, read, self.is_swapping.then_some(&replace));
        let millions = millions(self.name, &done)?;
        let per_core = done.readers.iter().map(|count| count.found as f64 / 1e6 / count.cpu.as_secs_f64());
        self.per_core.push(per_core.sum::<f64>() / done.readers.len() as f64);
        self.together.push(millions);
        Ok(())
    }
}

/// Million look-ups per second by the clock.
///
/// # Errors
/// A look-up that found nothing.
fn millions(name: &str, done: &Done<Count>) -> anyhow::Result<f64> {
    let missed: u64 = done.readers.iter().map(|count| count.missed).sum();
    anyhow::ensure!(missed == 0, "{name}: {missed} look-ups found nothing");
    let found: u64 = done.readers.iter().map(|count| count.found).sum();
    Ok(found as f64 / 1e6 / done.elapsed.as_secs_f64())
}

/// `BM_{NoWork,Work}_{NoUpdates,FrequentUpdates}_Reads`: the latest of one stream, on more and more threads.
fn reads() -> anyhow::Result<()> {
    let contenders = contenders(1, &[0]);
    let versions = contenders.each_ref().map(|_| AtomicI64::new(0));
    let shapes = [(false, false), (false, true), (true, false), (true, true)];
    let mut figures = vec![Rounds::default(); shapes.len() * contenders.len() * THREADS.len()];
    for _ in 0..ROUNDS {
        let mut figure = figures.iter_mut();
        for (with_work, is_swapping) in shapes {
            for (contender, version) in contenders.iter().zip(&versions) {
                for threads in THREADS {
                    let advance = || contender.advance(version.fetch_add(1, Ordering::Relaxed));
                    let read = |end: &_| contender.read(with_work, end);
                    let done = round(threads, read, is_swapping.then_some(&advance));
                    let millions = millions(contender.name(), &done)?;
                    if let Some(figure) = figure.next() {
                        figure.push(millions);
                    }
                }
            }
        }
    }

    println!(
        "\n  the latest of one stream and a look at it; million items per second, all threads, by the clock"
    );
    println!("  (BM_{{NoWork,Work}}_{{NoUpdates,FrequentUpdates}}_Reads); spread: the widest of a line");
    let threads = THREADS.map(|threads| format!("{threads:>7}")).join("");
    println!("  {:<18} {:<8} {:<8}{threads}  spread", "threads", "", "writer");
    let mut figure = figures.chunks(THREADS.len());
    for (with_work, is_swapping) in shapes {
        for contender in &contenders {
            let line = figure.next().unwrap_or_default();
            let medians: String =
                line.iter().map(|rounds| format!("{:>7}", Figure(rounds.median()))).collect();
            let spread = line.iter().map(Rounds::spread).fold(0.0, f64::max) * 100.0;
            let work = if with_work { "work" } else { "no work" };
            let writer = if is_swapping { "swaps" } else { "quiet" };
            println!("  {:<18} {work:<8} {writer:<8}{medians}  {spread:.0} %", contender.name());
        }
    }
    Ok(())
}

/// How long one look-up takes on more and more threads, while a version is swapped each millisecond.
fn tails() {
    let contenders = contenders(1, &[0]);
    let versions = contenders.each_ref().map(|_| AtomicI64::new(0));
    let mut figures = vec![[const { Rounds::new() }; 4]; contenders.len() * THREADS.len()];
    for _ in 0..ROUNDS {
        let mut figure = figures.iter_mut();
        for (contender, version) in contenders.iter().zip(&versions) {
            for threads in THREADS {
                let advance = || contender.advance(version.fetch_add(1, Ordering::Relaxed));
                let done = round(threads, |end| contender.time(end), Some(&advance));
                let mut all = Histogram::default();
                done.readers.iter().for_each(|histogram| all.merge(histogram));
                if let Some([median, p99, p999, swaps]) = figure.next() {
                    median.push(all.quantile(0.5));
                    p99.push(all.quantile(0.99));
                    p999.push(all.quantile(0.999));
                    swaps.push(done.swaps as f64 / done.elapsed.as_secs_f64());
                }
            }
        }
    }

    println!(
        "\n  nanoseconds of one look-up while a version is swapped each millisecond, reading the clock included"
    );
    println!("  {:<18} {:>7}  {:<20} {:<20} {:<24} swaps/s", "", "threads", "p50", "p99", "p99.9");
    let mut figure = figures.iter();
    for contender in &contenders {
        for threads in THREADS {
            if let Some([median, p99, p999, swaps]) = figure.next() {
                let (name, swaps) = (contender.name(), Figure(swaps.median()));
                println!("  {name:<18} {threads:>7}  {median:<20} {p99:<20} {p999:<24} {swaps}");
            }
        }
    }
}
