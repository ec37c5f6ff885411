//! What the server costs a framework: runs per second through the server's path (resolve, check, gate, plugin) beside those of
//! the framework's own loop, which a program without the server runs (`platforms/*/examples/*_loop.rs`).
//!
//! The same model, the same input, the same library and one thread within a run on either side, in rounds that take turns. First
//! with callers that have threads of their own, as the loop has, one and then as many as there are cores: this is what the
//! server's code costs. Then with twice as many callers as there are cores on threads that may not block, which hand their runs
//! over, as those that serve the network do: this is what waking threads costs beside. CPU time is that of either process, in
//! which other programs' work does not count.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use salver_core_platform::{Cancellation, LoadRequest, OptionValue, Options};
use salver_core_tensor::{Shape, Tensor};
use salver_manager_serving_map::ServingMap;
use salver_plugins_host::{HostServices, Plugins};
use salver_server_inference::{GateOptions, Inference, Served, ServedOptions};
use salver_server_metrics::Registry;
use salver_tests_weights::{LAYER_BYTES, WIDTH, write_model, write_saved_model, write_torchscript};
use tempfile::TempDir;

use crate::dispatch::{NoCatalog, Subject, request, request_blocking};
use crate::figures::{Figure, Promise, Rounds, Want};
use crate::machine::cores;
use crate::process::cpu_time;
use crate::{built, models};

const ROUNDS: usize = 11;
/// As long as a round of the loop.
const ROUND: Duration = Duration::from_millis(400);
/// How long a run should take, about: the batch is doubled until it comes near.
const RUN: Duration = Duration::from_millis(1);
const ABOUT: f64 = 1.4;
const PROMISED_SHARE: f64 = 0.95;

/// How many matrices the model multiplies by.
const LAYERS: u64 = 2;

/// A platform, how the model is written for it, and the options that leave a run one thread.
struct Platform {
    name: &'static str,
    write: fn(&Path) -> std::io::Result<()>,
    /// What its loop is given, in the version's folder.
    file: &'static str,
    options: &'static [(&'static str, i64)],
}

const PLATFORMS: [Platform; 3] = [
    Platform {
        name: "onnxruntime",
        write: |folder| write_model(&folder.join("model.onnx"), LAYERS * LAYER_BYTES),
        file: "model.onnx",
        options: &[("intra_op_threads", 1)],
    },
    Platform {
        name: "libtorch",
        write: |folder| write_torchscript(&folder.join("model.pt"), LAYERS),
        file: "model.pt",
        options: &[("intra_op_threads", 1)],
    },
    Platform {
        name: "tensorflow",
        write: |folder| write_saved_model(folder, LAYERS),
        file: "",
        options: &[("intra_op_threads", 1)],
    },
];

/// What TorchScript does not say.
const SIGNATURE: &str = "inputs = [{ name = \"x\", dtype = \"FP32\", shape = [-1, 1024] }]\n\
                         outputs = [{ name = \"y\", dtype = \"FP32\", shape = [-1, 1024] }]\n";

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let mut promises = Vec::new();
    println!(
        "  a chain of {LAYERS} matrices of {WIDTH} by {WIDTH}, by so many rows that a run takes about a millisecond"
    );
    println!(
        "  runs per second by the clock, and milliseconds of CPU time a run; the share is of the loop's throughput"
    );
    println!(
        "  {:<12} {:>4} {:<13} {:<22} {:<22} {:<22} {:>8} {:>8} {:>6}",
        "platform",
        "rows",
        "callers",
        "its own loop",
        "the server's path",
        "share",
        "CPU loop",
        "server",
        "share"
    );
    for platform in &PLATFORMS {
        let Some(program) = own_loop(platform.name) else {
            println!(
                "  {:<12} is not measured: `cargo xtask bench platforms` builds its loop",
                platform.name
            );
            continue;
        };
        let figures = platform.measure(&program).with_context(|| format!("measuring {}", platform.name))?;
        for one in figures.iter().filter(|one| one.callers.is_promised()) {
            let name = format!("platform_throughput_over_own_loop.{}, {}", platform.name, one.callers);
            promises.push(Promise::new(name, one.share.median(), "of 1", Want::AtLeast(PROMISED_SHARE)));
        }
    }
    Ok(promises)
}

/// The program that is the framework's own loop, where the environment names it.
fn own_loop(platform: &str) -> Option<PathBuf> {
    std::env::var_os(format!("SALVER_OWN_LOOP_{}", platform.to_uppercase())).map(PathBuf::from)
}

impl Platform {
    /// With every kind of callers.
    fn measure(&self, program: &Path) -> anyhow::Result<Vec<Figures>> {
        let folder = TempDir::new()?;
        (self.write)(folder.path())?;
        let (rows, mut own) = self.sized(program, &folder.path().join(self.file))?;
        let (inference, subject) = self.serve(folder.path(), rows)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(cores()).build()?;
        let mut figures = Vec::new();
        for callers in [Callers::Threads(1), Callers::Threads(cores()), Callers::Tasks(2 * cores())] {
            let threads = match callers {
                Callers::Threads(count) => count,
                Callers::Tasks(_) => cores(),
            };
            let ours = || match callers {
                Callers::Threads(count) => round_of_threads(&inference, &subject, count),
                Callers::Tasks(count) => runtime.block_on(round_of_tasks(&inference, &subject, count)),
            };
            ours()?;
            let (mut alone, mut served) = (Side::default(), Side::default());
            for _ in 0..ROUNDS {
                alone.push(own.id(), || own.round(threads))?;
                served.push(std::process::id(), ours)?;
            }
            let share = served.rates.over(&alone.rates);
            let one = Figures { callers, alone, served, share };
            one.print(self.name, rows);
            figures.push(one);
        }
        Ok(figures)
    }

    /// So many rows that a run takes long enough, and the loop for them.
    fn sized(&self, program: &Path, model: &Path) -> anyhow::Result<(usize, OwnLoop)> {
        let mut rows = 1;
        loop {
            let mut own = OwnLoop::start(program, model, rows)?;
            let (count, seconds) = own.round(1)?;
            if count * RUN.as_secs_f64() <= seconds * ABOUT {
                return Ok((rows, own));
            }
            rows *= 2;
        }
    }

    fn serve(&self, directory: &Path, rows: usize) -> anyhow::Result<(Arc<Inference>, Arc<Subject>)> {
        let plugin = Plugins::new(HostServices::default()).open(&built::plugin(self.name)?)?;
        let platform = plugin.platforms().first().context("the plugin has no platform")?;
        let mut options = Options::new();
        for (name, value) in self.options {
            options.set(*name, OptionValue::Int(*value));
        }
        if self.name == "libtorch" {
            options.set("signature", OptionValue::Text(SIGNATURE.to_owned()));
        }
        let id = models::id(self.name)?;
        let (cancel, batcher) = (Cancellation::NEVER, salver_core_platform::unbatched());
        let model = platform.load(&LoadRequest { id: &id, directory, options: &options, cancel, batcher })?;
        // The server's own.
        let gate = GateOptions { max_running: cores().max(2), max_waiting: 1000 };
        let observer = Arc::new(Registry::new());
        let served = ServedOptions { inline_limit: Duration::from_micros(200), gate };
        let served = Served::new(&id, model, self.name, served, Arc::clone(&observer) as _);
        let map = ServingMap::new();
        map.publish(id, Arc::new(served), || {});
        let shape = Shape::new(&[rows as i64, i64::from(WIDTH)])?;
        let x = Tensor::from_vec(shape.clone(), vec![1.0f32; shape.element_count()])?;
        let subject = Subject::new(self.name, vec![("x".to_owned(), x)]);
        Ok((Inference::new(Arc::new(map), Arc::new(NoCatalog), observer), Arc::new(subject)))
    }
}

/// Who asks the server.
#[derive(Clone, Copy)]
enum Callers {
    /// So many threads, that run what they ask for.
    Threads(usize),
    /// So many tasks, whose runs are handed over.
    Tasks(usize),
}

impl Callers {
    /// Whether their throughput is promised: that of a lone caller is for reading.
    fn is_promised(self) -> bool {
        !matches!(self, Self::Threads(1))
    }
}

impl fmt::Display for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(1) => f.pad("1 thread"),
            Self::Threads(count) => f.pad(&format!("{count} threads")),
            Self::Tasks(count) => f.pad(&format!("{count} handed over")),
        }
    }
}

/// What a round was: runs, and the seconds they took.
type Round = (f64, f64);

/// The figures of one side of the comparison.
#[derive(Default)]
struct Side {
    /// Runs per second, a figure a round.
    rates: Rounds,
    runs: f64,
    cpu: Duration,
}

impl Side {
    /// A round, of the process with this id.
    fn push(&mut self, process: u32, round: impl FnOnce() -> anyhow::Result<Round>) -> anyhow::Result<()> {
        let before = cpu_time(process)?;
        let (count, seconds) = round()?;
        // All rounds together: the system counts in hundredths of a second.
        self.cpu += cpu_time(process)?.saturating_sub(before);
        self.runs += count;
        self.rates.push(count / seconds);
        Ok(())
    }

    fn cpu_milliseconds_a_run(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3 / self.runs
    }
}

struct Figures {
    callers: Callers,
    alone: Side,
    served: Side,
    share: Rounds,
}

impl Figures {
    /// Runs for the same CPU time, over those of the loop.
    fn cpu_share(&self) -> f64 {
        self.alone.cpu_milliseconds_a_run() / self.served.cpu_milliseconds_a_run()
    }

    fn print(&self, name: &str, rows: usize) {
        let Self { callers, alone, served, share } = self;
        let [own, ours, cpu_share] =
            [alone.cpu_milliseconds_a_run(), served.cpu_milliseconds_a_run(), self.cpu_share()].map(Figure);
        println!(
            "  {name:<12} {rows:>4} {callers:<13} {:<22} {:<22} {share:<22} {own:>8} {ours:>8} {cpu_share:>6}",
            alone.rates, served.rates
        );
    }
}

/// Callers with threads of their own, that ask again when they are answered.
fn round_of_threads(inference: &Inference, subject: &Subject, callers: usize) -> anyhow::Result<Round> {
    let start = Instant::now();
    let ask = || {
        let mut count = 0.0;
        while start.elapsed() < ROUND {
            request_blocking(inference, subject)?;
            count += 1.0;
        }
        anyhow::Ok(count)
    };
    let mut count = 0.0;
    thread::scope(|scope| {
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(ask)).collect();
        for caller in callers {
            count += caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??;
        }
        anyhow::Ok(())
    })?;
    Ok((count, start.elapsed().as_secs_f64()))
}

/// The same as tasks of a runtime.
async fn round_of_tasks(
    inference: &Arc<Inference>,
    subject: &Arc<Subject>,
    callers: usize,
) -> anyhow::Result<Round> {
    let start = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (inference, subject) = (Arc::clone(inference), Arc::clone(subject));
            tokio::spawn(async move {
                let mut count = 0.0;
                while start.elapsed() < ROUND {
                    request(&inference, &subject).await?;
                    count += 1.0;
                }
                anyhow::Ok(count)
            })
        })
        .collect();
    let mut count = 0.0;
    for caller in callers {
        count += caller.await.context("a caller panicked")??;
    }
    Ok((count, start.elapsed().as_secs_f64()))
}

/// A program that runs the framework in a loop of its own. Dropping it ends it.
struct OwnLoop {
    child: Child,
    says: ChildStdin,
    hears: BufReader<ChildStdout>,
}

impl OwnLoop {
    fn start(program: &Path, model: &Path, rows: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg(model).args([rows.to_string(), WIDTH.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let (says, hears) = (child.stdin.take(), child.stdout.take());
        let (says, hears) = says.zip(hears).context("the loop has no pipes")?;
        Ok(Self { child, says, hears: BufReader::new(hears) })
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    /// A round on so many threads.
    fn round(&mut self, threads: usize) -> anyhow::Result<Round> {
        writeln!(self.says, "{threads}")?;
        let mut line = String::new();
        self.hears.read_line(&mut line)?;
        let said = line.trim().split_once(' ').with_context(|| format!("the loop said `{}`", line.trim()))?;
        Ok((said.0.parse()?, said.1.parse()?))
    }
}

impl Drop for OwnLoop {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
