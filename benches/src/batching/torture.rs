//! Many requests through sessions before an integer model, with everything on at once: none may be lost, none answered
//! wrongly, no row run twice.
//!
//! The same through the scheduler alone, without tensors, is among what it costs.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use salver_batching_concat::PadValue;
use salver_batching_parameters::{Parameters, QueuePolicyParameters};
use salver_batching_queue::{BatchPadding, PriorityMixing};
use salver_batching_session::{Call, Pools, Session};
use salver_core_observe::NoObserver;
use salver_core_platform::{Model, OptionValue, Options, RequestContext, RunRequest};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::{Code, Status};
use salver_core_tensor::{DType, Shape, Tensor};

use super::chance::mix;
use crate::figures::{Figure, Promise, Want};
use crate::machine::cores;
use crate::models;

const REQUESTS: u64 = 10_000_000;
/// Threads that ask, and how many requests of each are under way.
const ASKERS: u64 = 2;
const UNDER_WAY: u64 = 64;
const MAX_ROWS: u64 = 48;
/// A row begins with the number of its request and its own.
const HEAD: usize = 2;
const MAX_WIDTH: u64 = 6;
/// How long the last may take to go, when nothing waits any more.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn measure() -> anyhow::Result<Vec<Promise>> {
    let start = Instant::now();
    let (model, tally) = (Arc::new(Integers::new()?), Tally::default());
    let sessions = sessions(&model)?;
    thread::scope(|scope| {
        for asker in 0..ASKERS {
            let (sessions, tally) = (&sessions, &tally);
            scope.spawn(move || ask_many(asker, sessions, tally));
        }
    });
    drop(sessions);
    // A request that was given up goes with its batch.
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let deadline = Instant::now() + PATIENCE;
    while read(&tally.let_go) < REQUESTS && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    let asked = read(&tally.answered) + read(&tally.refused) + read(&tally.expired) + read(&tally.given_up);
    let rate = REQUESTS as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!(
        "  sessions with allowed sizes, padding, splitting, priorities, deadlines and callers that give up"
    );
    println!(
        "  {REQUESTS} requests ({} million/s) in {} runs: {} answered, {} refused or timed out, {} expired, {} given up; {} wrong, {} rows run twice",
        Figure(rate),
        read(&model.runs),
        read(&tally.answered),
        read(&tally.refused),
        read(&tally.expired),
        read(&tally.given_up),
        read(&tally.wrong),
        read(&model.doubled),
    );
    let lost = (REQUESTS - asked.min(REQUESTS)) + (REQUESTS - read(&tally.let_go).min(REQUESTS));
    let wrong = read(&tally.wrong) + read(&model.doubled) + lost;
    Ok(vec![Promise::new(
        "batching_lost_doubled_or_wrong_through_sessions",
        wrong as f64,
        "requests",
        Want::AtMost(0.0),
    )])
}

/// What became of requests.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    wrong: AtomicU64,
    refused: AtomicU64,
    expired: AtomicU64,
    given_up: AtomicU64,
    /// Requests of which nothing is left.
    let_go: Arc<AtomicU64>,
}

/// `y = 3 x + 1`.
struct Integers {
    signatures: SignatureSet,
    /// By request, a bit for each row that was run.
    rows: Vec<AtomicU64>,
    runs: AtomicU64,
    doubled: AtomicU64,
}

impl Integers {
    fn new() -> anyhow::Result<Self> {
        let spec = |name| TensorSpec::new(name, DType::I64, ShapeSpec::of(&[-1, -1]));
        let signatures = SignatureSet::new(vec![Signature::predict(vec![spec("x")], vec![spec("y")])])?;
        let rows = (0..REQUESTS).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { signatures, rows, runs: AtomicU64::new(0), doubled: AtomicU64::new(0) })
    }

    /// Ticks off what is run. A batch is padded with copies of a row that it has.
    fn tick_off(&self, values: &[i64], width: usize) {
        let mut rows = Vec::new();
        for row in values.chunks(width) {
            let [number, row, ..] = *row else { continue };
            let mask = 1 << row;
            let ticks = usize::try_from(number).ok().and_then(|number| self.rows.get(number));
            let before = ticks.map_or(u64::MAX, |ticks| ticks.fetch_or(mask, Ordering::Relaxed));
            let is_padding = before & mask != 0 && rows.contains(&(number, row));
            self.doubled.fetch_add(u64::from(before & mask != 0 && !is_padding), Ordering::Relaxed);
            rows.push((number, row));
        }
    }
}

impl Model for Integers {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let x = request.input(0)?;
        let values = x.as_slice::<i64>()?;
        let width = x.shape().dims().get(1).and_then(|width| usize::try_from(*width).ok()).unwrap_or(0);
        self.tick_off(values, width.max(1));
        self.runs.fetch_add(1, Ordering::Relaxed);
        let y = values.iter().map(|x| 3 * x + 1).collect();
        Ok(vec![Tensor::from_vec(x.shape().clone(), y)?])
    }
}

/// Sessions before one model that differ in how priorities and sizes that are not allowed are dealt with.
fn sessions(model: &Arc<Integers>) -> anyhow::Result<Vec<Session>> {
    let pools = Pools::default();
    let ways = [
        (PriorityMixing::PadToMax, BatchPadding::PadUp),
        (PriorityMixing::PadToNextAllowed, BatchPadding::BatchDown),
        (PriorityMixing::Merge, BatchPadding::MinimizeCostPerRequest),
    ];
    let session = |(mixing, padding)| {
        let parameters = Parameters {
            mixed_priority_batching_policy: Some(mixing),
            batch_padding_policy: Some(padding),
            preserve_ordering: Some(mixing == PriorityMixing::Merge),
            ..parameters()
        };
        let options = parameters.resolve()?.context("these parameters turn batching off")?;
        let (model, observer) = (Arc::clone(model) as Arc<dyn Model>, Arc::new(NoObserver) as _);
        Ok(Session::new(&models::id("integers")?, model, options, &pools, &observer)?)
    };
    ways.into_iter().map(session).collect()
}

fn parameters() -> Parameters {
    let policy =
        QueuePolicyParameters { allow_timeout_override: Some(true), ..QueuePolicyParameters::default() };
    Parameters {
        max_batch_size: Some(MAX_ROWS as i64),
        max_execution_batch_size: Some(32),
        enable_large_batch_splitting: Some(true),
        allowed_batch_sizes: Some(vec![4, 8, 16, 32]),
        batch_timeout: Some(Duration::from_micros(200)),
        max_enqueued_batches: Some(64),
        num_batch_threads: Some(cores() as i64),
        pad_variable_length_inputs: Some(true),
        padding_value: Some(PadValue::Zero),
        unpad_outputs: Some([("y".to_owned(), "x".to_owned())].into()),
        priority_levels: Some(2),
        default_priority_level: Some(2),
        default_queue_policy: Some(policy),
        ..Parameters::default()
    }
}

/// All requests of one thread. It never blocks: some of its requests are under way all the time.
fn ask_many(asker: u64, sessions: &[Session], tally: &Tally) {
    let line = |first: u64| async move {
        for number in (first..REQUESTS).step_by((ASKERS * UNDER_WAY) as usize) {
            match ask(number, sessions, tally).await {
                Ok(count) => count.fetch_add(1, Ordering::Relaxed),
                Err(_) => tally.wrong.fetch_add(1, Ordering::Relaxed),
            };
        }
    };
    let lines = (0..UNDER_WAY).map(|place| line(asker * UNDER_WAY + place));
    // Without timers and sockets there is nothing that could fail to start.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() {
        runtime.block_on(join_all(lines));
    }
}

/// One request, to where it counts.
///
/// # Errors
/// It was answered wrongly.
async fn ask<'a>(number: u64, sessions: &[Session], tally: &'a Tally) -> anyhow::Result<&'a AtomicU64> {
    let drawn = mix(number);
    let session = sessions.get(drawn as usize % sessions.len().max(1)).context("there are sessions")?;
    let x = input(number, drawn)?;
    let micros = |bits: u64| Duration::from_micros(drawn >> bits & 0x3FF);
    let mut parameters = Options::new();
    parameters.set("priority", OptionValue::Int((drawn >> 8 & 1) as i64 + 1));
    if drawn >> 12 & 7 == 0 {
        parameters.set("timeout", OptionValue::Int(micros(14).as_micros() as i64));
    }
    let deadline = (drawn >> 26 & 7 == 0).then(|| Instant::now() + micros(30));
    let context = RequestContext { deadline, parameters, ..RequestContext::default() };
    let keep = Box::new(Keep(Arc::clone(&tally.let_go)));
    let call = Call { signature: 0, inputs: vec![Some(x.clone())], outputs: vec![0], context, keep };
    let is_given_up = drawn >> 42 & 31 == 0;
    let mut run = pin!(session.run(call, drawn >> 48 & 7 == 0));
    let outcome = if is_given_up {
        let first = std::future::poll_fn(|context| Poll::Ready(run.as_mut().poll(context))).await;
        let Poll::Ready(outcome) = first else { return Ok(&tally.given_up) };
        outcome
    } else {
        run.await
    };
    match outcome {
        Ok(outputs) => {
            let [y] = &outputs[..] else { anyhow::bail!("{} outputs", outputs.len()) };
            ensure!(y.shape() == x.shape(), "{} for {}", y.shape(), x.shape());
            let (x, y) = (x.view(), y.view());
            let pairs = x.as_slice::<i64>()?.iter().zip(y.as_slice::<i64>()?);
            ensure!(pairs.into_iter().all(|(x, y)| 3 * x + 1 == *y), "another request's answer");
            Ok(&tally.answered)
        }
        Err(status) => match status.code() {
            Code::DeadlineExceeded => Ok(&tally.expired),
            Code::Unavailable => Ok(&tally.refused),
            _ => Err(status.into()),
        },
    }
}

/// Few have many rows.
fn input(number: u64, drawn: u64) -> anyhow::Result<Tensor> {
    let rows = if drawn >> 56 == 0 { 1 + (drawn >> 20) % MAX_ROWS } else { 1 + (drawn >> 20) % 3 };
    let width = HEAD as u64 + (drawn >> 52) % (MAX_WIDTH - HEAD as u64 + 1);
    let row = |row: u64| {
        let rest = (HEAD as u64..width).map(move |column| (mix(number ^ column << 40) >> 8) as i64);
        [number as i64, row as i64].into_iter().chain(rest)
    };
    let values = (0..rows).flat_map(row).collect();
    Ok(Tensor::from_vec(Shape::new(&[rows as i64, width as i64])?, values)?)
}

/// Counts when it goes.
struct Keep(Arc<AtomicU64>);

impl Drop for Keep {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
