//! The whole path of a request without network and framework: resolve, check against the signature, run through a real
//! `.so`, drop the answer; metrics are kept as in the server.
//!
//! A thread enters its runtime once and not per request: entering it is part of the network's cost.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use salver_core_platform::RequestContext;
use salver_core_servable::{StreamName, VersionChoice};
use salver_core_status::Status;
use salver_core_tensor::Tensor;
use salver_manager_serving_map::ServingMap;
use salver_server_inference::{
    Api, Call, Catalog, GateOptions, Inference, Readiness, Served, ServedOptions, VersionStatus,
};
use salver_server_metrics::Registry;

use crate::figures::{Promise, Rounds, Want, thread_cpu_time};
use crate::machine::cores;
use crate::models;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(200);
/// Requests between two looks at the clock.
const BATCH: u32 = 1000;
const PROMISED_MILLIONS: f64 = 1.0;

/// The server's own.
const OPTIONS: ServedOptions = ServedOptions {
    inline_limit: Duration::from_micros(200),
    gate: GateOptions { max_running: 4, max_waiting: 1000 },
};

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let (inference, subjects) = serve()?;
    let mut series = Vec::new();
    for subject in &subjects {
        for threads in [1, cores()] {
            let (per_core, together) = Default::default();
            series.push(Series { subject, threads, per_core, together });
        }
    }
    for _ in 0..ROUNDS {
        for one in &mut series {
            one.round(&inference)?;
        }
    }
    println!("  million requests per second of a thread's CPU time; all threads together by the clock");
    println!("  {:<22} {:<12} {:>7}  {:<22} {:<22}", "model", "", "threads", "per core", "by the clock");
    for Series { subject, threads, per_core, together } in &series {
        let (shown, platform) = (subject.shown, subject.platform);
        println!("  {shown:<22} {platform:<12} {threads:>7}  {per_core:<22} {together:<22}");
    }
    let all_cores = series.iter().find(|one| one.subject.is_promised && one.threads == cores());
    let value = all_cores.map_or(0.0, |one| one.per_core.median());
    Ok(vec![Promise::new(
        "dispatch_per_second_per_core",
        value,
        "million/s",
        Want::AtLeast(PROMISED_MILLIONS),
    )])
}

/// One model on one platform.
pub(crate) struct Subject {
    name: String,
    shown: &'static str,
    platform: &'static str,
    inputs: Vec<(String, Tensor)>,
    is_promised: bool,
}

impl Subject {
    /// The latest version of `name`, with these inputs.
    pub(crate) fn new(name: &str, inputs: Vec<(String, Tensor)>) -> Self {
        Self { name: name.to_owned(), shown: "", platform: "", inputs, is_promised: false }
    }
}

/// Each model on each platform, published under a name of its own.
fn serve() -> anyhow::Result<(Arc<Inference>, Vec<Subject>)> {
    let repository = models::repository()?;
    let observer = Arc::new(Registry::new());
    let map = ServingMap::new();
    let mut subjects = Vec::new();
    for (platform, loader) in [("plugin", models::plugin()?), ("in process", models::in_process())] {
        let small = (models::INPUT.to_owned(), models::small_input()?);
        for (model, shown, inputs) in
            [(models::NULL, "null", Vec::new()), (models::SMALL, "FP32 [1,16] in and out", vec![small])]
        {
            let name = format!("{model}, {platform}");
            let id = models::id(&name)?;
            let loaded = models::load(&*loader, repository.path(), model)?;
            let served = Served::new(&id, loaded, platform, OPTIONS, Arc::clone(&observer) as _);
            map.publish(id, Arc::new(served), || {});
            let is_promised = model == models::NULL && platform == "plugin";
            subjects.push(Subject { name, shown, platform, inputs, is_promised });
        }
    }
    Ok((Inference::new(Arc::new(map), Arc::new(NoCatalog), observer), subjects))
}

/// The figures of one subject.
struct Series<'a> {
    subject: &'a Subject,
    threads: usize,
    per_core: Rounds,
    together: Rounds,
}

impl Series<'_> {
    fn round(&mut self, inference: &Inference) -> anyhow::Result<()> {
        let (subject, ready) = (self.subject, Barrier::new(self.threads));
        let rates: anyhow::Result<Vec<Rates>> = thread::scope(|scope| {
            let work = || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().build().context("starting a runtime")?;
                ready.wait();
                runtime.block_on(requests(inference, subject))
            };
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
            };
            threads.into_iter().map(join).collect()
        });
        let rates = rates?;
        self.per_core.push(rates.iter().map(|rates| rates.cpu).sum::<f64>() / rates.len() as f64);
        self.together.push(rates.iter().map(|rates| rates.clock).sum());
        Ok(())
    }
}

/// Million requests a second, of CPU time and by the clock.
struct Rates {
    cpu: f64,
    clock: f64,
}

/// One request after another, for a round.
async fn requests(inference: &Inference, subject: &Subject) -> anyhow::Result<Rates> {
    // The first run of a version has a thread of its own, until its pace is known.
    request(inference, subject).await?;
    let (start, cpu_start) = (Instant::now(), thread_cpu_time());
    let mut count = 0;
    while start.elapsed() < ROUND {
        for _ in 0..BATCH {
            request(inference, subject).await?;
        }
        count += BATCH;
    }
    let rate = |time: Duration| f64::from(count) / 1e6 / time.as_secs_f64();
    Ok(Rates { cpu: rate(thread_cpu_time() - cpu_start), clock: rate(start.elapsed()) })
}

pub(crate) async fn request(inference: &Inference, subject: &Subject) -> Result<(), Status> {
    black_box(inference.run(call(inference, subject)?).await?);
    Ok(())
}

/// The same on the thread that asks.
pub(crate) fn request_blocking(inference: &Inference, subject: &Subject) -> Result<(), Status> {
    black_box(inference.run_blocking(call(inference, subject)?)?);
    Ok(())
}

fn call(inference: &Inference, subject: &Subject) -> Result<Call, Status> {
    let served = inference.resolve(Api::Embedded, black_box(&subject.name), VersionChoice::Latest)?;
    let signature = served.signatures().get("").map(|(signature, _)| signature).unwrap_or_default();
    Ok(Call {
        api: Api::Embedded,
        served,
        signature,
        inputs: subject.inputs.clone(),
        outputs: Vec::new(),
        context: RequestContext::default(),
    })
}

/// Knows of nothing: it is asked only about requests that find no version.
pub(crate) struct NoCatalog;

impl Catalog for NoCatalog {
    fn models(&self) -> Vec<StreamName> {
        Vec::new()
    }

    fn versions(&self, _model: &str) -> Option<Vec<VersionStatus>> {
        None
    }

    fn trouble(&self, _model: &str) -> Option<Status> {
        None
    }

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}
