//! One model under many settings, in this process: what a person would have to try who tunes by hand, and what a target for
//! latency finds by itself.
//!
//! Each setting is measured under two loads. With clients that ask again when they are answered, throughput and latency are
//! one figure seen from two sides (there are as many requests as clients, always), so that it is throughput that is of
//! interest. Where requests come whatever becomes of others, it is latency.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use salver_batching_parameters::Parameters;
use salver_core_platform::Model;

use super::clients::{Clients, Subject};
use super::picture::{Mark, Panel, Picture, Point, Series};
use super::served::CLIENTS;
use crate::figures::Rounds;

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(1000);
const WARM_UP: Duration = Duration::from_millis(300);
/// Until a target has found its size.
const FIRST_WARM_UP: Duration = Duration::from_secs(4);

const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const LARGEST: usize = 64;
const TIMEOUTS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(40)];
const TARGET: Duration = Duration::from_millis(100);

/// What an open load has of what the target's clients get.
const SHARE_OF_CAPACITY: f64 = 0.4;
/// A setting that turns away more than this does not keep up.
const MOST_REFUSED: f64 = 0.01;

/// One setting, and its figures.
struct Setting {
    parameters: Parameters,
    subject: Subject,
    per_second: Rounds,
    closed_p99_ms: Rounds,
    closed_rows: Rounds,
    open_p99_ms: Rounds,
    open_rows: Rounds,
    refused: Rounds,
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
    let target = Setting::new(model, Parameters { latency_target: Some(TARGET), ..parameters(LARGEST) })?;
    let found = runtime.block_on(target.subject.closed(&clients, FIRST_WARM_UP, ROUND))?;
    let open_per_second = (found.per_second * SHARE_OF_CAPACITY / 10.0).round() * 10.0;
    settings.push(target);
    for _ in 0..ROUNDS {
        for setting in &mut settings {
            let closed = runtime.block_on(setting.subject.closed(&clients, WARM_UP, ROUND))?;
            setting.per_second.push(closed.per_second);
            setting.closed_p99_ms.push(closed.p99_ms);
            setting.closed_rows.push(closed.rows_per_batch);
            let open = setting.subject.open(&clients, open_per_second, WARM_UP, ROUND);
            let open = runtime.block_on(open)?;
            setting.open_p99_ms.push(open.p99_ms);
            setting.open_rows.push(open.rows_per_batch);
            setting.refused.push(open.refused);
        }
    }
    print(&settings, open_per_second);
    let picture = picture(&settings, open_per_second);
    std::fs::write(path, picture.to_string()).with_context(|| format!("writing {}", path.display()))
}

/// One thread runs batches, and all clients find room.
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
        let (per_second, closed_p99_ms, closed_rows, open_p99_ms, open_rows, refused) = Default::default();
        Ok(Self {
            parameters,
            subject,
            per_second,
            closed_p99_ms,
            closed_rows,
            open_p99_ms,
            open_rows,
            refused,
        })
    }

    fn size(&self) -> f64 {
        self.parameters.max_batch_size.unwrap_or(1) as f64
    }

    fn keeps_up(&self) -> bool {
        self.refused.median() <= MOST_REFUSED
    }
}

fn print(settings: &[Setting], open_per_second: f64) {
    println!("  without a network: {CLIENTS} clients that ask again when they are answered, and");
    println!("  {open_per_second} requests/s that come at chance");
    println!(
        "  {:<16} {:>14}  {:<20} {:<20} {:<20} {:<22} {:<20} {:<8}",
        "",
        "max_batch_size",
        "requests/s",
        "p99 ms",
        "rows a batch",
        "at chance: p99 ms",
        "rows a batch",
        "refused"
    );
    for setting in settings {
        let Setting { per_second, closed_p99_ms, closed_rows, open_p99_ms, open_rows, .. } = setting;
        let (name, size, refused) = (name(&setting.parameters), setting.size(), setting.refused.median());
        println!(
            "  {name:<16} {size:>14}  {per_second:<20} {closed_p99_ms:<20} {closed_rows:<20} {open_p99_ms:<22} \
             {open_rows:<20} {:.0} %",
            refused * 100.0
        );
    }
}

fn name(parameters: &Parameters) -> String {
    let (timeout, target) = (parameters.batch_timeout, parameters.latency_target);
    match target {
        Some(target) => format!("target {} ms", target.as_millis()),
        None => format!("timeout {} ms", timeout.unwrap_or_default().as_millis()),
    }
}

fn picture(settings: &[Setting], open_per_second: f64) -> Picture {
    let throughput = Panel {
        title: format!("{CLIENTS} clients, each asking again when it is answered: requests a second"),
        most: None,
        line: None,
        series: series(settings, |setting| Some(setting.per_second.median())),
        mark: mark(settings, |setting| (setting.closed_rows.median(), setting.per_second.median())),
    };
    let target_ms = TARGET.as_secs_f64() * 1e3;
    let latency = Panel {
        title: format!(
            "{open_per_second} requests a second, coming at chance: 99 of 100 are answered within, ms"
        ),
        most: Some(1.5 * target_ms),
        line: Some(target_ms),
        series: series(settings, |setting| setting.keeps_up().then(|| setting.open_p99_ms.median())),
        mark: mark(settings, |setting| (setting.open_rows.median(), setting.open_p99_ms.median())),
    };
    Picture {
        mark_name: format!("latency_target {target_ms} ms"),
        x_title: "max_batch_size, in rows; of the latency_target: the rows of its batches in the mean"
            .to_owned(),
        panels: vec![throughput, latency],
    }
}

/// A line for each time-out; without the settings that have no figure.
fn series(settings: &[Setting], figure: impl Fn(&Setting) -> Option<f64>) -> Vec<Series> {
    let series = |timeout: Duration| {
        let of_series = settings.iter().filter(|setting| setting.parameters.batch_timeout == Some(timeout));
        let points = of_series.filter_map(|setting| Some(Point { x: setting.size(), y: figure(setting)? }));
        Series { name: format!("batch_timeout {} ms", timeout.as_millis()), points: points.collect() }
    };
    TIMEOUTS.into_iter().map(series).collect()
}

fn mark(settings: &[Setting], figure: impl Fn(&Setting) -> (f64, f64)) -> Option<Mark> {
    let target = settings.iter().find(|setting| setting.parameters.latency_target.is_some())?;
    let (x, y) = figure(target);
    Some(Mark(Point { x, y }))
}
