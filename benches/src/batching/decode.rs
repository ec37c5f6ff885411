//! Steps inside a model: sequences that are decoded by the example plugin, alone and sharing their steps.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use salver_batching_session::SubBatcher;
use salver_core_observe::{Instrument, Metric, NoObserver, Observer};
use salver_core_platform::{
    Cancellation, LoadRequest, Model, OptionValue, Options, Platform, RequestContext, RunRequest,
};
use salver_core_tensor::{Shape, Tensor};
use salver_plugins_host::{HostServices, Plugins};
use tempfile::TempDir;

use crate::figures::{Figure, Promise, Rounds, Want};
use crate::{built, models};

const MODEL: &str = "width 1024 layers 4 vocabulary 256 seed 7";

/// How many requests there are at once where there are many.
const MANY: usize = 16;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);

/// Requests that differ in length, and in how much they want; a client goes through them all, from one of its own on.
const REQUESTS: usize = 32;

/// One request, and what it is answered by itself.
struct Sequence {
    prompt: Tensor,
    most: Tensor,
    answer: Tensor,
    /// Tokens that are read and written.
    tokens: u64,
}

/// A way to batch steps, and its tokens per second.
struct Setting {
    name: &'static str,
    model: Box<dyn Model>,
    one: Rounds,
    many: Rounds,
    sequences_per_step: Rounds,
}

/// Measures and prints; the promise is that sharing steps is worth it.
pub(super) fn measure() -> anyhow::Result<Vec<Promise>> {
    let rows = Arc::new(RowsPerBatch::default());
    let batcher = SubBatcher::new(Arc::default(), Arc::clone(&rows) as Arc<dyn Observer>);
    let services = HostServices { batcher: Arc::new(batcher), ..HostServices::default() };
    let plugin = Plugins::new(services).open(&built::decode_plugin()?)?;
    let platform = plugin.platforms().first().context("the plugin has no platform")?;
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("decode.txt"), MODEL)?;
    let mut settings: Vec<Setting> = SETTINGS
        .iter()
        .map(|(name, step_mode)| Setting::load(name, step_mode, &**platform, folder.path()))
        .collect::<Result<_, _>>()?;
    let alone = settings.first().context("there is a setting")?;
    let sequences: Vec<Sequence> =
        (0..REQUESTS).map(|number| Sequence::new(number, &*alone.model)).collect::<Result<_, _>>()?;
    for _ in 0..ROUNDS {
        for setting in &mut settings {
            setting.one.push(tokens_per_second(&*setting.model, &sequences, 1)?);
            rows.forget_all();
            setting.many.push(tokens_per_second(&*setting.model, &sequences, MANY)?);
            setting.sequences_per_step.push(rows.mean());
        }
    }
    println!(
        "  decode: tokens per second with 1 request and with {MANY} at once, and how many of these share a step"
    );
    for Setting { name, one, many, sequences_per_step, .. } in &settings {
        let shared = Figure(sequences_per_step.median().max(1.0));
        println!("    {name:<16} 1: {one:<24} {MANY}: {many:<24} {shared} share a step");
    }
    let [alone, shared] = &settings[..] else { bail!("there are two settings") };
    let gain = shared.many.over(&alone.many).median();
    Ok(vec![Promise::new("batching_steps_shared_over_each_alone", gain, "of 1", Want::AtLeast(2.0))])
}

/// What the step's `mode` is; the first is without batches.
const SETTINGS: [(&str, &str); 2] = [("each step alone", "off"), ("steps shared", "fixed")];

impl Setting {
    fn load(
        name: &'static str,
        step_mode: &str,
        platform: &dyn Platform,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut options = Options::new();
        options.set("step_mode", OptionValue::Text(step_mode.to_owned()));
        let request = LoadRequest {
            id: &models::id(name)?,
            directory: folder,
            options: &options,
            cancel: Cancellation::NEVER,
            batcher: salver_core_platform::unbatched(),
        };
        let model = platform.load(&request)?;
        let (one, many, sequences_per_step) = Default::default();
        Ok(Self { name, model, one, many, sequences_per_step })
    }
}

impl Sequence {
    fn new(number: usize, model: &dyn Model) -> anyhow::Result<Self> {
        let prompt: Vec<i32> =
            (0..number % 5 + 1).map(|at| ((number * 37 + at * 11) % 255 + 1) as i32).collect();
        let prompt = Tensor::from_vec(Shape::new(&[prompt.len() as i64])?, prompt)?;
        let most = Tensor::from_vec(Shape::scalar(), vec![(number * 29 % 61 + 4) as i64])?;
        let answer = decode(model, &prompt, &most)?;
        let tokens = (prompt.shape().element_count() + answer.shape().element_count()) as u64;
        Ok(Self { prompt, most, answer, tokens })
    }
}

fn decode(model: &dyn Model, prompt: &Tensor, most: &Tensor) -> anyhow::Result<Tensor> {
    let context = RequestContext::default();
    let inputs = &[Some(prompt.view()), Some(most.view())];
    let request = RunRequest { signature: 0, inputs, outputs: &[0], context: context.lend() };
    model.run(&request)?.pop().context("the model returned nothing")
}

/// Of so many clients, each of which asks again when it is answered. Every answer is compared.
fn tokens_per_second(model: &dyn Model, sequences: &[Sequence], clients: usize) -> anyhow::Result<f64> {
    let (is_over, tokens) = (AtomicBool::new(false), AtomicU64::new(0));
    let ask = |client: usize| -> anyhow::Result<()> {
        for sequence in sequences.iter().cycle().skip(client * 7 % REQUESTS) {
            if is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            ensure!(decode(model, &sequence.prompt, &sequence.most)? == sequence.answer, "an answer differs");
            tokens.fetch_add(sequence.tokens, Ordering::Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|client| scope.spawn(move || ask(client))).collect();
        thread::sleep(ROUND / 4);
        let (before, start) = (tokens.load(Ordering::Relaxed), Instant::now());
        thread::sleep(ROUND);
        let (after, took) = (tokens.load(Ordering::Relaxed), start.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok((after - before) as f64 / took.as_secs_f64())
    })
}

/// How many rows batches have, on average.
#[derive(Default)]
struct RowsPerBatch {
    rows: Arc<(AtomicU64, AtomicU64)>,
}

impl RowsPerBatch {
    fn forget_all(&self) {
        self.rows.0.store(0, Ordering::Relaxed);
        self.rows.1.store(0, Ordering::Relaxed);
    }

    fn mean(&self) -> f64 {
        let (rows, batches) = (self.rows.0.load(Ordering::Relaxed), self.rows.1.load(Ordering::Relaxed));
        rows as f64 / (batches as f64).max(1.0)
    }
}

struct Rows(Arc<(AtomicU64, AtomicU64)>);

impl Observer for RowsPerBatch {
    fn instrument(&self, metric: Metric, _labels: &[&str]) -> Arc<dyn Instrument> {
        match metric {
            Metric::BatchRows => Arc::new(Rows(Arc::clone(&self.rows))),
            _ => Arc::new(NoObserver),
        }
    }

    fn forget(&self, _model: &str, _version: &str) {}
}

impl Instrument for Rows {
    fn record(&self, rows: f64) {
        self.0.0.fetch_add(rows as u64, Ordering::Relaxed);
        self.0.1.fetch_add(1, Ordering::Relaxed);
    }

    fn shift(&self, _by: f64) {}
}
