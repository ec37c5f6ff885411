//! One model under many settings, in this process: what a person would have to try who tunes by hand, and what a target for
//! latency finds by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use salver_batching_parameters::Parameters;
use salver_core_platform::Model;

use super::closed_loop::{Clients, Measured, Subject};
use super::picture::{Mark, Picture, Point, Series};
use super::served::CLIENTS;
use crate::figures::Rounds;

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(400);
/// Until a target has found its size.
const FIRST_WARM_UP: Duration = Duration::from_secs(5);

const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const TIMEOUTS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(40)];
const TARGETS: [Duration; 3] =
    [Duration::from_millis(60), Duration::from_millis(100), Duration::from_millis(200)];

/// One setting, and its figures.
struct Setting {
    parameters: Parameters,
    subject: Subject,
    per_second: Rounds,
    p99_ms: Rounds,
    rows_per_batch: Rounds,
}

/// Measures and writes the picture.
pub(super) fn draw(model: &Arc<dyn Model>, path: &Path) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().context("starting a runtime")?;
    let clients = Clients::new(&**model, CLIENTS)?;
    let mut settings = Vec::new();
    for timeout in TIMEOUTS {
        for size in SIZES {
            let said = Parameters { batch_timeout: Some(timeout), ..parameters(size) };
            settings.push(Setting::new(model, said)?);
        }
    }
    for target in TARGETS {
        let said = Parameters { latency_target: Some(target), ..parameters(*SIZES.last().unwrap_or(&1)) };
        let setting = Setting::new(model, said)?;
        runtime.block_on(setting.subject.measure(&clients, FIRST_WARM_UP, WARM_UP))?;
        settings.push(setting);
    }
    for _ in 0..ROUNDS {
        for setting in &mut settings {
            let measured = runtime.block_on(setting.subject.measure(&clients, WARM_UP, ROUND))?;
            setting.push(measured);
        }
    }
    print(&settings);
    let picture = picture(&settings);
    std::fs::write(path, picture.to_string()).with_context(|| format!("writing {}", path.display()))
}

/// One thread runs batches, and nobody is refused.
fn parameters(max_batch_size: usize) -> Parameters {
    Parameters {
        max_batch_size: Some(max_batch_size as i64),
        max_enqueued_batches: Some(2 * CLIENTS as i64),
        num_batch_threads: Some(1),
        ..Parameters::default()
    }
}

impl Setting {
    fn new(model: &Arc<dyn Model>, parameters: Parameters) -> anyhow::Result<Self> {
        let subject = Subject::new(model, &parameters)?;
        let (per_second, p99_ms, rows_per_batch) = Default::default();
        Ok(Self { parameters, subject, per_second, p99_ms, rows_per_batch })
    }

    fn push(&mut self, measured: Measured) {
        self.per_second.push(measured.per_second);
        self.p99_ms.push(measured.p99_ms);
        self.rows_per_batch.push(measured.rows_per_batch);
    }

    fn point(&self, rows: f64) -> Point {
        Point { rows, per_second: self.per_second.median(), p99_ms: self.p99_ms.median() }
    }
}

fn print(settings: &[Setting]) {
    println!("  {CLIENTS} clients in this process, without a network");
    println!(
        "  {:<16} {:>14}  {:<24} {:<24} {:<24}",
        "", "max_batch_size", "requests/s", "p99 ms", "rows a batch"
    );
    for Setting { parameters, per_second, p99_ms, rows_per_batch, .. } in settings {
        let (name, size) = (name(parameters), parameters.max_batch_size.unwrap_or_default());
        println!("  {name:<16} {size:>14}  {per_second:<24} {p99_ms:<24} {rows_per_batch:<24}");
    }
}

fn name(parameters: &Parameters) -> String {
    let (timeout, target) = (parameters.batch_timeout, parameters.latency_target);
    match target {
        Some(target) => format!("target {} ms", target.as_millis()),
        None => format!("timeout {} ms", timeout.unwrap_or_default().as_millis()),
    }
}

fn picture(settings: &[Setting]) -> Picture {
    let series = TIMEOUTS.map(|timeout| {
        let of_series = settings.iter().filter(|setting| setting.parameters.batch_timeout == Some(timeout));
        let points =
            of_series.map(|setting| setting.point(setting.parameters.max_batch_size.unwrap_or(1) as f64));
        Series { name: format!("batch_timeout {} ms", timeout.as_millis()), points: points.collect() }
    });
    let marks = settings.iter().filter_map(|setting| {
        let target = setting.parameters.latency_target?;
        let point = setting.point(setting.rows_per_batch.median());
        Some(Mark { target_ms: target.as_secs_f64() * 1e3, point })
    });
    Picture {
        title: format!("{CLIENTS} clients, one model, many settings"),
        series: series.into(),
        marks: marks.collect(),
    }
}
