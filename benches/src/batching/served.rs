//! The real server with the same model three times: not batched, batched as one would set it by hand, and with a target for
//! latency. 32 clients over gRPC, each with one request under way. Beside it what the model itself gains.
//!
//! Which threads: one thread runs batches, and ONNX Runtime's pool spreads each over all cores. Weights are then read once for
//! all rows that wait; two threads that run half as many rows each, on a core each, read them twice.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use salver_core_platform::Model;
use tokio::runtime::Runtime;

use super::{network, raw};
use crate::client::{self, Transport};
use crate::figures::{Figure, Promise, Rounds, Want};
use crate::load::{self, Measured, Target};
use crate::machine::cores;
use crate::process::Server;
use crate::{built, messages};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const RAW_ROUND: Duration = Duration::from_millis(500);
/// Until a target for latency has found its size.
const WARM_UP: Duration = Duration::from_secs(4);
/// Until three large models have loaded.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const CLIENTS: usize = 32;
/// Rows of a run. The last is the most that can be asked at once.
const SIZES: [usize; 4] = [1, 8, 16, CLIENTS];

const PROMISED_GAIN: f64 = 2.0;
const PROMISED_SHARE: f64 = 0.85;

/// A model of the server.
struct Mode {
    name: &'static str,
    batching: &'static str,
}

const UNBATCHED: usize = 0;

const MODES: [Mode; 3] = [
    Mode { name: "unbatched", batching: "mode = 'off'" },
    Mode {
        name: "fixed",
        batching: "max_batch_size = 32\nbatch_timeout = '5ms'\nmax_enqueued_batches = 100\n\
                   num_batch_threads = 1\nthread_pool_name = 'fixed'",
    },
    Mode {
        name: "latency_target",
        batching: "latency_target = '150ms'\nmax_batch_size = 64\nmax_enqueued_batches = 100\n\
                   num_batch_threads = 1\nthread_pool_name = 'latency_target'",
    },
];

pub(super) fn measure(model: &dyn Model, folder: &Path) -> anyhow::Result<Vec<Promise>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    let server = serve(folder)?;
    let wanted = network::answers(model, CLIENTS)?;
    let mut subjects = Vec::new();
    for mode in &MODES {
        let subject = Subject::prepare(&runtime, mode, &server, &wanted).context(mode.name)?;
        runtime.block_on(load::measure(&subject.targets, &server, CLIENTS, WARM_UP))?;
        subjects.push(subject);
    }
    let mut raw = Vec::new();
    for size in SIZES {
        raw.push((size, network::rows(size)?, Rounds::new()));
    }
    for _ in 0..ROUNDS {
        for (size, rows, per_second) in &mut raw {
            per_second.push(raw::measure(model, rows, callers(*size), RAW_ROUND)?);
        }
        for subject in &mut subjects {
            subject.round(&runtime, &server)?;
        }
    }
    let raw = raw.into_iter().map(|(size, _, per_second)| (size, per_second)).collect::<Vec<_>>();
    conclude(&raw, &subjects)
}

/// As many runs at once as the server has: without batches twice as many as there are cores, with them one.
fn callers(size: usize) -> usize {
    if size == 1 { 2 * cores() } else { 1 }
}

/// A server of the model by the name of each mode.
fn serve(folder: &Path) -> anyhow::Result<Server> {
    let repository = folder.join("repository");
    for mode in &MODES {
        let version = repository.join(mode.name).join("1");
        fs::create_dir_all(&version)?;
        fs::hard_link(folder.join("model.onnx"), version.join("model.onnx"))?;
        let settings = format!("[batching]\n{}\n", mode.batching);
        fs::write(repository.join(mode.name).join("model.toml"), settings)?;
    }
    let mut serve = built::serve_command()?;
    serve.arg("--model-repository").arg(repository);
    Server::spawn(serve)
}

/// A mode, and its figures.
struct Subject {
    mode: &'static Mode,
    targets: Vec<Target>,
    per_second: Rounds,
    p50_ms: Rounds,
    p99_ms: Rounds,
    cpu_ms: Rounds,
    rows: Rounds,
}

impl Subject {
    fn prepare(
        runtime: &Runtime,
        mode: &'static Mode,
        server: &Server,
        wanted: &[Bytes],
    ) -> anyhow::Result<Self> {
        let mut targets = Vec::new();
        for (client, answer) in wanted.iter().enumerate() {
            let request = messages::row(mode.name, &network::row(client)).request(Transport::Grpc);
            targets.push(Target { address: server.address, request, answer: answer.clone(), is_answer });
        }
        let first = targets.first().context("there are clients")?;
        let answer = runtime.block_on(client::first_answer(server, &first.request, PATIENCE))?;
        anyhow::ensure!(is_answer(&answer.body, &first.answer), "the first answer is wrong");
        let (per_second, p50_ms, p99_ms, cpu_ms, rows) = Default::default();
        Ok(Self { mode, targets, per_second, p50_ms, p99_ms, cpu_ms, rows })
    }

    fn round(&mut self, runtime: &Runtime, server: &Server) -> anyhow::Result<()> {
        let before = Batches::of(server.address, self.mode.name)?;
        let measured = runtime.block_on(load::measure(&self.targets, server, CLIENTS, ROUND))?;
        let after = Batches::of(server.address, self.mode.name)?;
        let Measured { per_second, cpu_us, p50_us, p99_us } = measured;
        self.per_second.push(per_second);
        self.p50_ms.push(p50_us / 1e3);
        self.p99_ms.push(p99_us / 1e3);
        self.cpu_ms.push(cpu_us / 1e3);
        self.rows.push(after.rows_since(&before));
        Ok(())
    }
}

/// Whether the answer has the wanted row in it.
fn is_answer(body: &Bytes, wanted: &Bytes) -> bool {
    let response = messages::response(body);
    response.is_ok_and(|response| {
        response.raw_output_contents.first().is_some_and(|found| network::is_close(found, wanted))
    })
}

/// What the server has counted of a model's batches.
struct Batches {
    rows: f64,
    batches: f64,
}

impl Batches {
    fn of(server: SocketAddr, model: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("reading the metrics")?;
        let label = format!("model=\"{model}\"");
        let sum = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(&label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Ok(Self { rows: sum("salver_batch_rows_sum{"), batches: sum("salver_batch_rows_count{") })
    }

    /// The rows of a batch since then; 1 where there were no batches.
    fn rows_since(&self, before: &Self) -> f64 {
        let batches = self.batches - before.batches;
        if batches > 0.0 { (self.rows - before.rows) / batches } else { 1.0 }
    }
}

fn conclude(raw: &[(usize, Rounds)], subjects: &[Subject]) -> anyhow::Result<Vec<Promise>> {
    let (_, one) = raw.first().context("one row was run")?;
    let best = raw.iter().max_by(|(_, one), (_, other)| one.median().total_cmp(&other.median()));
    let (size, best) = best.context("rows were run")?;
    let gain = best.over(one);
    println!("  the model in this process, rows/s");
    let mut line = String::new();
    for (size, per_second) in raw {
        write!(line, "  {} x {size} rows: {per_second};", callers(*size))?;
    }
    println!("{line}");
    println!("  its gain from {size} rows at once: {gain}");
    println!("  {CLIENTS} clients over gRPC; milliseconds to the answer, of server CPU per request");
    println!(
        "  {:<16} {:<22} {:<22} {:<22} {:<22} {:<20} {:<20}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU ms", "rows a batch", "times unbatched"
    );
    let unbatched = subjects.get(UNBATCHED).context("there is an unbatched model")?;
    let mut promises = Vec::new();
    for subject in subjects {
        let Subject { mode, per_second, p50_ms, p99_ms, cpu_ms, rows, .. } = subject;
        let times = per_second.over(&unbatched.per_second);
        println!(
            "  {:<16} {per_second:<22} {p50_ms:<22} {p99_ms:<22} {cpu_ms:<22} {rows:<20} {times:<20}",
            mode.name
        );
        if mode.name == unbatched.mode.name {
            continue;
        }
        let share = times.over(&gain);
        let name = |what| format!("batching_{what}.{}", mode.name);
        if gain.median() >= PROMISED_GAIN {
            let want = Want::AtLeast(PROMISED_GAIN);
            promises.push(Promise::new(name("throughput_over_unbatched"), times.median(), "of 1", want));
        }
        let want = Want::AtLeast(PROMISED_SHARE);
        promises.push(Promise::new(name("gain_over_the_model_s"), share.median(), "of 1", want));
    }
    if gain.median() < PROMISED_GAIN {
        println!("  the model itself gains less than {}: nothing is promised", Figure(PROMISED_GAIN));
    }
    Ok(promises)
}
