//! The same without a network: the server's parts in this program, and one thread that asks.
//!
//! What is late here and not there is the scheduler's or the network's doing, and no lock's.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use salver_core_platform::RequestContext;
use salver_core_servable::{ServableState, StreamName, VersionChoice};
use salver_core_tensor::Tensor;
use salver_server_assembly::{Assembly, Control};
use salver_server_config::{ModelList, ServeConfig};
use salver_server_inference::{Api, Call, Inference};
use salver_server_metrics::Registry;

use super::large::{BESIDE, Large};
use super::open_loop::quantile_us;
use super::tail::{Cycles, PROMISED_RATIO};
use super::weather::{Tries, Weather};
use super::{answers::DIGITS, control};
use crate::built;
use crate::figures::{Promise, Rounds, Want};
use crate::messages;

const ROUND: Duration = Duration::from_secs(2);
const PER_SECOND: u32 = 4000;

pub(super) fn measure(large: &Large) -> anyhow::Result<Vec<Promise>> {
    salver_server_memory::configure();
    let plugins = built::onnxruntime_plugin().context("there is no onnxruntime plugin")?;
    let mut flags = vec!["--keep-file-cache".into(), "--model-repository".into()];
    flags.extend([built::digits_repository().into_os_string(), "--plugin-dir".into()]);
    flags.extend(plugins.parent().map(Into::into));
    let config = ServeConfig::from_flags(flags).map_err(anyhow::Error::msg)?;
    let assembly = Assembly::start(&config, Arc::new(Registry::new()))?;
    let (inference, control) = (assembly.inference(), assembly.control());
    wait_until_ready(&inference)?;

    let folder = large.model(BESIDE);
    cycle(&control, &inference, &folder, &AtomicBool::new(true))?;
    let mut tries = Tries::new();
    while !tries.are_enough() {
        let weather = Weather::watch(None)?;
        let quiet = ask(&inference)?;
        let is_over = AtomicBool::new(false);
        let (loading, cycles) = thread::scope(|scope| {
            let cycles = scope.spawn(|| cycle(&control, &inference, &folder, &is_over));
            let times = ask(&inference);
            is_over.store(true, Ordering::Relaxed);
            (times, cycles.join())
        });
        let cycles = cycles.unwrap_or_else(|_| anyhow::bail!("the loop of loads panicked"))?;
        tries.push(weather.cores()?, (quiet, loading?, cycles));
    }
    drop((inference, control));
    assembly.shut_down(Duration::from_secs(10));

    let (rounds, others) = tries.conclude();
    let (mut quiet, mut loading, mut cycles) = <(Figures, Figures, Cycles)>::default();
    for round in &rounds {
        quiet.push(&round.0);
        loading.push(&round.1);
        cycles.add(round.2);
    }
    println!(
        "  digits within this process, {PER_SECOND} requests/s of one thread; microseconds from when a request is due, and"
    );
    println!("  from when the thread was awake");
    println!(
        "  {:<8} {:<20} {:<22} {:<20} {:<22}",
        "", "due p50 us", "due p99.9 us", "awake p50 us", "awake p99.9 us"
    );
    for (shown, figures) in [("quiet", &quiet), ("loading", &loading)] {
        let Figures { due: [due, due_999], awake: [awake, awake_999] } = figures;
        println!("  {shown:<8} {due:<20} {due_999:<22} {awake:<20} {awake_999:<22}");
    }
    let over = |figures: fn(&Figures) -> &Rounds| figures(&loading).over(figures(&quiet));
    let (due, awake) = (over(|figures| &figures.due[1]), over(|figures| &figures.awake[1]));
    println!("  p99.9 over quiet: due {due}, awake {awake}; {cycles}");
    println!("  other programs kept {others} cores busy");
    let name = "p99.9_while_another_loads.within_the_process";
    Ok(vec![Promise::new(name, due.median(), "of quiet", Want::AtMost(PROMISED_RATIO))])
}

/// Microseconds, half and 99.9 % of requests.
#[derive(Default)]
struct Figures {
    due: [Rounds; 2],
    awake: [Rounds; 2],
}

/// The times of one round, in order.
struct Times {
    due: Vec<Duration>,
    awake: Vec<Duration>,
}

impl Figures {
    fn push(&mut self, times: &Times) {
        for (rounds, times) in [(&mut self.due, &times.due), (&mut self.awake, &times.awake)] {
            for (rounds, share) in rounds.iter_mut().zip([0.5, 0.999]) {
                rounds.push(quantile_us(times, share));
            }
        }
    }
}

fn wait_until_ready(inference: &Inference) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_millis(1);
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = inference.resolve(Api::Embedded, DIGITS, VersionChoice::Latest) {
        anyhow::ensure!(Instant::now() < deadline, "{error}");
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Loads and unloads a large model until it is over, but once at least.
fn cycle(
    control: &Control,
    inference: &Inference,
    folder: &Path,
    is_over: &AtomicBool,
) -> anyhow::Result<Cycles> {
    const PAUSE: Duration = Duration::from_millis(1);
    let beside = ModelList::from_proto(control::only("beside", folder, 1))?;
    Cycles::count(is_over, || {
        control.reload(&beside, None)?;
        control.reload(&ModelList::default(), None)?;
        // It is gone when its state is that of the end.
        while inference
            .catalog()
            .versions("beside")
            .is_some_and(|versions| versions.iter().any(|version| version.state != ServableState::End))
        {
            thread::sleep(PAUSE);
        }
        Ok(())
    })
}

/// Asks at a steady rate, for a round.
fn ask(inference: &Inference) -> anyhow::Result<Times> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (name, input) = (StreamName::from(DIGITS), messages::digits()?.tensor()?);
    let interval = Duration::from_secs(1) / PER_SECOND;
    let mut times = Times { due: Vec::new(), awake: Vec::new() };
    // Entering the runtime is a part of the network's cost.
    runtime.block_on(async {
        let (start, mut at) = (Instant::now(), Duration::ZERO);
        while at < ROUND {
            at += interval;
            let due = start + at;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let awake = Instant::now();
            request(inference, &name, &input).await?;
            times.due.push(due.elapsed());
            times.awake.push(awake.elapsed());
        }
        anyhow::Ok(())
    })?;
    times.due.sort_unstable();
    times.awake.sort_unstable();
    Ok(times)
}

async fn request(inference: &Inference, name: &StreamName, input: &(String, Tensor)) -> anyhow::Result<()> {
    let served = inference.resolve(Api::Embedded, name.as_str(), VersionChoice::Latest)?;
    let signature = served.signatures().get("").map(|(signature, _)| signature).unwrap_or_default();
    let call = Call {
        api: Api::Embedded,
        served,
        signature,
        inputs: vec![input.clone()],
        outputs: Vec::new(),
        context: RequestContext::default(),
    };
    inference.run(call).await?;
    Ok(())
}
