//! The real server over gRPC and REST, beside bare servers that do nothing but read the same requests and answer what
//! it answers, on the same HTTP libraries.
//!
//! Servers and load share the machine. All servers of a run are up from its beginning; each round loads one after the
//! other, so that what is compared has had the same weather.

mod bare;
mod start;

use std::slice;
use std::time::Duration;

use anyhow::Context as _;

use crate::client::Transport;
use crate::figures::{Promise, Rounds, Want};
use crate::load::{self, Measured, Target};
use crate::messages::Message;
use crate::process::Server;
use crate::{built, client, messages, models};

pub(crate) use bare::{CHILD_FLAG, child};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(1);
/// Clients, each with a connection of its own and one request under way.
const CLIENTS: [usize; 2] = [8, 32];
/// How many of them promises are about.
const PROMISED_CLIENTS: usize = 32;

/// The least share of a bare server's requests per second.
const PROMISED_SHARE: f64 = 0.85;

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let repository = models::repository()?;
    let mut serve = built::serve_command()?;
    serve.arg("--model-repository").arg(repository.path());
    let has_digits = built::onnxruntime_plugin().is_some();
    if has_digits {
        serve.arg("--model-repository").arg(built::digits_repository());
    } else {
        println!("  digits is not measured: there is no onnxruntime plugin; `cargo xtask bench` packs it");
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    let salver = Server::spawn(serve)?;
    let mut cases = Vec::new();
    for subject in SUBJECTS.iter().filter(|subject| has_digits || !subject.is_digits) {
        cases.push(runtime.block_on(Case::prepare(subject, &salver)).with_context(|| subject.to_string())?);
    }
    for _ in 0..ROUNDS {
        for case in &mut cases {
            for series in &mut case.series {
                let served = runtime.block_on(load::measure(
                    slice::from_ref(&case.target),
                    &salver,
                    series.clients,
                    ROUND,
                ))?;
                let bare = runtime.block_on(load::measure(
                    slice::from_ref(&case.bare_target),
                    &case.bare,
                    series.clients,
                    ROUND,
                ))?;
                series.served.push(served);
                series.bare.push(bare);
            }
        }
    }
    print(&cases);
    let mut promises: Vec<Promise> = cases.iter().flat_map(Case::promises).collect();
    drop((cases, salver));
    if has_digits {
        promises.extend(runtime.block_on(start::measure())?);
    }
    Ok(promises)
}

/// What is asked of the server.
struct Subject {
    transport: Transport,
    is_digits: bool,
    /// The most CPU time a request may take: a fifth (gRPC) or a third (HTTP) of what Triton's C++ server takes for
    /// an identity model, and for a small one that computes for 12 microseconds.
    promised_cpu_ms: f64,
}

const SUBJECTS: [Subject; 4] = [
    Subject { transport: Transport::Grpc, is_digits: false, promised_cpu_ms: 0.022 },
    Subject { transport: Transport::Http, is_digits: false, promised_cpu_ms: 0.027 },
    Subject { transport: Transport::Grpc, is_digits: true, promised_cpu_ms: 0.039 },
    Subject { transport: Transport::Http, is_digits: true, promised_cpu_ms: 0.035 },
];

impl Subject {
    fn model(&self) -> &'static str {
        if self.is_digits { "digits" } else { "echo" }
    }

    fn message(&self) -> anyhow::Result<Message> {
        if self.is_digits { messages::digits() } else { messages::small() }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.model(), self.transport)
    }
}

/// A subject, its bare counterpart, and their figures.
struct Case {
    subject: &'static Subject,
    target: Target,
    bare: Server,
    bare_target: Target,
    series: Vec<Series>,
}

/// The figures at one number of clients.
struct Series {
    clients: usize,
    served: Figures,
    bare: Figures,
}

#[derive(Default)]
struct Figures {
    per_second: Rounds,
    cpu_us: Rounds,
    p50_us: Rounds,
    p99_us: Rounds,
}

impl Figures {
    fn push(&mut self, measured: Measured) {
        self.per_second.push(measured.per_second);
        self.cpu_us.push(measured.cpu_us);
        self.p50_us.push(measured.p50_us);
        self.p99_us.push(measured.p99_us);
    }
}

impl Case {
    /// Waits until the server answers, and starts a bare one that answers the same.
    async fn prepare(subject: &'static Subject, salver: &Server) -> anyhow::Result<Self> {
        let request = subject.message()?.request(subject.transport);
        let answer = client::first_answer(salver, &request, start::PATIENCE).await?;
        messages::check(subject.transport, subject.is_digits, &answer)?;
        let bare = bare::spawn(subject.transport, &answer)?;
        let bare_answer =
            client::first_answer(&bare, &request, start::PATIENCE).await.context("the bare server")?;
        let target = Target {
            address: salver.address,
            request: request.clone(),
            answer: answer.body.clone(),
            is_answer: |found, wanted| found == wanted,
        };
        anyhow::ensure!(
            bare_answer.body == answer.body,
            "the bare server does not answer what the server does"
        );
        let bare_target = Target { address: bare.address, request, answer: answer.body, ..target };
        let series = |clients| Series { clients, served: Figures::default(), bare: Figures::default() };
        Ok(Self { subject, target, bare, bare_target, series: CLIENTS.map(series).into() })
    }

    fn promises(&self) -> Vec<Promise> {
        let Some(series) = self.series.iter().find(|series| series.clients == PROMISED_CLIENTS) else {
            return Vec::new();
        };
        let (transport, model) = (self.subject.transport, self.subject.model());
        let mut promises = Vec::new();
        // With digits the framework's work comes on top, which the bare server does not have.
        if !self.subject.is_digits {
            let share = series.served.per_second.over(&series.bare.per_second).median();
            let name = format!("{transport}_throughput_over_bare");
            promises.push(Promise::new(name, share, "of 1", Want::AtLeast(PROMISED_SHARE)));
        }
        let cpu_ms = series.served.cpu_us.median() / 1e3;
        let name = format!("{transport}_cpu_per_request.{model}");
        promises.push(Promise::new(name, cpu_ms, "ms", Want::AtMost(self.subject.promised_cpu_ms)));
        promises
    }
}

fn print(cases: &[Case]) {
    println!("  requests per second, microseconds of server CPU per request, microseconds to the answer");
    println!(
        "  {:<14} {:>7}  {:<8} {:<26} {:<22} {:<20} {:<20}",
        "", "clients", "server", "requests/s", "CPU us", "p50 us", "p99 us"
    );
    for case in cases {
        for series in &case.series {
            let (subject, clients) = (case.subject.to_string(), series.clients);
            for (server, figures) in [("salver", &series.served), ("bare", &series.bare)] {
                let Figures { per_second, cpu_us, p50_us, p99_us } = figures;
                println!(
                    "  {subject:<14} {clients:>7}  {server:<8} {per_second:<26} {cpu_us:<22} {p50_us:<20} {p99_us:<20}"
                );
            }
            let throughput = series.served.per_second.over(&series.bare.per_second);
            let cpu = series.served.cpu_us.over(&series.bare.cpu_us);
            println!("  {subject:<14} {clients:>7}  {:<8} {throughput:<26} {cpu:<22}", "ratio");
        }
    }
}
