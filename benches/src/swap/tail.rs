//! The slowest answers of a small model, while nothing else happens and while a large one loads and unloads in a loop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Runtime;

use super::control;
use super::large::{BESIDE, Large};
use super::open_loop::{self, Load, Times};
use super::weather::{Tries, Weather};
use crate::built;
use crate::client::{self, Connection, Transport};
use crate::figures::{Figure, Promise, Rounds, Want};
use crate::messages;
use crate::process::Server;

const ROUND: Duration = Duration::from_secs(2);
/// Of what is answered where requests follow each other without a pause.
const SHARE_OF_CAPACITY: f64 = 0.25;
pub(super) const PROMISED_RATIO: f64 = 1.5;

pub(super) fn measure(runtime: &Runtime, large: &Large) -> anyhow::Result<Vec<Promise>> {
    let folder = large.model(BESIDE);
    let mut subjects = [
        Subject::prepare(runtime, "from_disk", &[])?,
        Subject::prepare(runtime, "from_file_cache", &["--keep-file-cache"])?,
    ];
    for subject in &subjects {
        // The first load finds the files wherever they are.
        cycle(subject.server.address, &folder, &AtomicBool::new(true))?;
    }
    while subjects.iter().any(|subject| !subject.tries.are_enough()) {
        for subject in &mut subjects {
            subject.round(runtime, &folder)?;
        }
    }
    println!(
        "  digits over gRPC, requests at a steady rate; microseconds from when a request is due to its answer"
    );
    println!(
        "  {:<18} {:<8} {:<20} {:<20} {:<22} {:<20}",
        "", "", "p50 us", "p99 us", "p99.9 us", "p99.9 of the client's clock"
    );
    Ok(subjects.into_iter().map(Subject::conclude).collect())
}

/// A server whose small model is asked while a large one loads.
struct Subject {
    name: &'static str,
    server: Server,
    load: Load,
    tries: Tries<Round>,
}

/// A quiet round, and one beside a loop of loads.
struct Round {
    quiet: Times,
    loading: Times,
    cycles: Cycles,
}

/// What was found in rounds of one kind.
#[derive(Default)]
struct Figures {
    p50_us: Rounds,
    p99_us: Rounds,
    p999_us: Rounds,
    clock_us: Rounds,
}

impl Subject {
    fn prepare(runtime: &Runtime, name: &'static str, flags: &[&str]) -> anyhow::Result<Self> {
        let mut serve = built::serve_command()?;
        serve.arg("--model-repository").arg(built::digits_repository()).args(flags);
        let server = Server::spawn(serve)?;
        let load = runtime.block_on(load(&server))?;
        Ok(Self { name, server, load, tries: Tries::new() })
    }

    fn round(&mut self, runtime: &Runtime, folder: &Path) -> anyhow::Result<()> {
        let weather = Weather::watch(Some(&self.server))?;
        let quiet = runtime.block_on(open_loop::measure(&self.load, ROUND))?;
        let (server, is_over) = (self.server.address, AtomicBool::new(false));
        let (loading, cycles) = thread::scope(|scope| {
            let cycles = scope.spawn(|| cycle(server, folder, &is_over));
            let times = runtime.block_on(open_loop::measure(&self.load, ROUND));
            is_over.store(true, Ordering::Relaxed);
            (times, cycles.join())
        });
        let cycles = cycles.unwrap_or_else(|_| anyhow::bail!("the loop of loads panicked"))?;
        let round = Round { quiet, loading: loading?, cycles };
        self.tries.push(weather.cores()?, round);
        Ok(())
    }

    fn conclude(self) -> Promise {
        let Self { name, server: _, load, tries } = self;
        let (rounds, others) = tries.conclude();
        let (mut quiet, mut loading, mut cycles) = <(Figures, Figures, Cycles)>::default();
        for round in &rounds {
            quiet.push(&round.quiet);
            loading.push(&round.loading);
            cycles.add(round.cycles);
        }
        for (shown, figures) in [("quiet", &quiet), ("loading", &loading)] {
            let Figures { p50_us, p99_us, p999_us, clock_us } = figures;
            println!("  {name:<18} {shown:<8} {p50_us:<20} {p99_us:<20} {p999_us:<22} {clock_us:<20}");
        }
        let ratio = loading.p999_us.over(&quiet.p999_us);
        println!("  {name:<18} p99.9 over quiet: {ratio}; {} requests/s; {cycles}", Figure(load.per_second));
        println!("  {name:<18} other programs kept {others} cores busy");
        let name = format!("p99.9_while_another_loads.{name}");
        Promise::new(name, ratio.median(), "of quiet", Want::AtMost(PROMISED_RATIO))
    }
}

impl Figures {
    fn push(&mut self, times: &Times) {
        self.p50_us.push(times.answer_us(0.5));
        self.p99_us.push(times.answer_us(0.99));
        self.p999_us.push(times.answer_us(0.999));
        self.clock_us.push(times.tick_us(0.999));
    }
}

/// What a loop of loads and unloads came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cycles {
    count: u32,
    time: Duration,
}

impl Cycles {
    /// Counts `cycle` until `is_over`, but once at least.
    pub(super) fn count(
        is_over: &AtomicBool,
        mut cycle: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let (start, mut count) = (Instant::now(), 0);
        loop {
            cycle()?;
            count += 1;
            if is_over.load(Ordering::Relaxed) {
                return Ok(Self { count, time: start.elapsed() });
            }
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.time += other.time;
    }
}

impl std::fmt::Display for Cycles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.time.as_secs_f64() / f64::from(self.count);
        let megabytes = BESIDE.bytes as f64 / 1e6;
        let [shown, size, rate] = [seconds, megabytes, megabytes / seconds].map(Figure);
        write!(f, "{} loads and unloads of {size} MB, {shown} s each, {rate} MB/s", self.count)
    }
}

/// Loads and unloads a large model until it is over, but once at least.
fn cycle(server: SocketAddr, folder: &Path, is_over: &AtomicBool) -> anyhow::Result<Cycles> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Cycles::count(is_over, || {
        runtime.block_on(async {
            control::reload(server, control::only("beside", folder, 1)).await?;
            control::reload(server, control::none()).await?;
            control::wait_until_gone(server, "beside").await
        })
    })
}

/// Requests for the sample model, at a rate that leaves the machine much time to spare.
async fn load(server: &Server) -> anyhow::Result<Load> {
    const LOOK: Duration = Duration::from_millis(500);
    let request = messages::digits()?.request(Transport::Grpc);
    let patience = Duration::from_secs(20);
    let answer = client::first_answer(server, &request, patience).await?.body;
    let mut connection = Connection::open(server.address, &request).await?;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < LOOK {
        connection.ask().await.context("finding how much can be asked")?;
        count += 1;
    }
    // One connection with one request under way keeps about one of two cores busy.
    let per_second = f64::from(count) / start.elapsed().as_secs_f64() * SHARE_OF_CAPACITY;
    Ok(Load { address: server.address, request, answer, per_second })
}
