//! What the server costs a framework: runs per second through the server's path (resolve, check, gate, plugin) beside those of
//! the framework's own loop, which a program without the server runs (`platforms/*/examples/own_loop.rs`).
//!
//! The same model, the same input, one thread within a run on either side, and as many runs at once as there are cores. The loop has
//! a thread for each of them; the server has twice as many callers, since one that hands its run over and is woken by its answer
//! should not leave a core idle: what is compared is throughput, and not a lone caller's wait.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
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

use crate::dispatch::{NoCatalog, Subject, request};
use crate::figures::{Promise, Rounds, Want};
use crate::machine::cores;
use crate::{built, models};

const ROUNDS: usize = 9;
/// As long as a round of the loop.
const ROUND: Duration = Duration::from_millis(400);
/// How long a run should take at least: the batch is doubled until it does.
const RUN: Duration = Duration::from_millis(1);
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
        options: &[("intra_op_threads", 1), ("inter_op_threads", 1)],
    },
];

/// What TorchScript does not say.
const SIGNATURE: &str = "inputs = [{ name = \"x\", dtype = \"FP32\", shape = [-1, 1024] }]\n\
                         outputs = [{ name = \"y\", dtype = \"FP32\", shape = [-1, 1024] }]\n";

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let mut promises = Vec::new();
    println!(
        "  digits in batches whose run takes a millisecond or more; runs per second, {} at once",
        cores()
    );
    println!(
        "  {:<12} {:>6}  {:<24} {:<24} {:<20}",
        "platform", "rows", "its own loop", "the server's path", "share"
    );
    for platform in &PLATFORMS {
        let Some(program) = own_loop(platform.name) else {
            println!(
                "  {:<12} is not measured: `cargo xtask bench platforms` builds its loop",
                platform.name
            );
            continue;
        };
        let measured = platform.measure(&program).with_context(|| format!("measuring {}", platform.name))?;
        let name = format!("platform_throughput_over_own_loop.{}", platform.name);
        promises.push(Promise::new(name, measured, "of 1", Want::AtLeast(PROMISED_SHARE)));
    }
    Ok(promises)
}

/// The program that is the framework's own loop, where the environment names it.
fn own_loop(platform: &str) -> Option<PathBuf> {
    std::env::var_os(format!("SALVER_OWN_LOOP_{}", platform.to_uppercase())).map(PathBuf::from)
}

impl Platform {
    /// The server's share of the loop's throughput.
    fn measure(&self, program: &Path) -> anyhow::Result<f64> {
        let folder = TempDir::new()?;
        (self.write)(folder.path())?;
        let (rows, mut own) = self.sized(program, &folder.path().join(self.file))?;
        let (inference, subject) = self.serve(folder.path(), rows)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(cores()).build()?;
        runtime.block_on(round(&inference, &subject))?;
        let (mut alone, mut served) = (Rounds::default(), Rounds::default());
        for _ in 0..ROUNDS {
            alone.push(own.round()?);
            served.push(runtime.block_on(round(&inference, &subject))?);
        }
        let share = served.over(&alone);
        println!("  {:<12} {rows:>6}  {alone:<24} {served:<24} {share:<20}", self.name);
        Ok(share.median())
    }

    /// So many rows that a run takes long enough, and the loop for them.
    fn sized(&self, program: &Path, model: &Path) -> anyhow::Result<(usize, OwnLoop)> {
        let mut rows = 1;
        loop {
            let mut own = OwnLoop::start(program, model, rows)?;
            // The first round is for what frameworks put off until they are used.
            own.round()?;
            if own.round()? * RUN.as_secs_f64() <= cores() as f64 {
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
        let gate = GateOptions { max_running: cores(), max_waiting: 1000 };
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

/// Runs per second of callers that ask again when they are answered.
async fn round(inference: &Arc<Inference>, subject: &Arc<Subject>) -> anyhow::Result<f64> {
    let start = Instant::now();
    let callers: Vec<_> = (0..2 * cores())
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
    Ok(count / start.elapsed().as_secs_f64())
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
        command.arg(model).args([rows.to_string(), cores().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let (says, hears) = (child.stdin.take(), child.stdout.take());
        let (says, hears) = says.zip(hears).context("the loop has no pipes")?;
        Ok(Self { child, says, hears: BufReader::new(hears) })
    }

    /// Runs per second, of one round.
    fn round(&mut self) -> anyhow::Result<f64> {
        self.says.write_all(b"go\n")?;
        let mut line = String::new();
        self.hears.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("the loop said `{}`", line.trim()))
    }
}

impl Drop for OwnLoop {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
