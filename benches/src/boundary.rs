//! What it costs that a platform is a plugin: a call through the C tables of its `.so`, less the same call through a
//! trait object of the same code in this program; and what it costs that the plugin is in a process of its own.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use salver_core_platform::{Model, Platform, RunContext, RunRequest};
use salver_core_tensor::{Shape, Tensor};
use salver_plugins_host::HostServices;
use salver_plugins_isolated::{Isolation, Program};

use crate::figures::{Promise, Rounds, Want, thread_cpu_time};
use crate::{built, models};

/// Short, so that the two are disturbed alike, and many.
const CALLS: u32 = 2000;
const ROUNDS: usize = 501;
const PROMISED_NANOSECONDS: f64 = 30.0;

pub(crate) fn run() -> anyhow::Result<Vec<Promise>> {
    let repository = models::repository()?;
    let (plugin, in_process) = (models::plugin()?, models::in_process());
    let small = models::small_input()?;
    println!("  nanoseconds of CPU time a call, {ROUNDS} rounds of {CALLS} calls each");
    println!("  {:<24} {:<24} {:<24} {:<24}", "model", "trait object", "plugin", "difference");
    let mut empty_call = 0.0;
    for (name, shown, inputs, outputs) in [
        (models::NULL, "null", &[][..], &[][..]),
        (models::SMALL, "FP32 [1,16] in and out", std::slice::from_ref(&small), &[0][..]),
    ] {
        let direct = models::load(&*in_process, repository.path(), name)?;
        let through = models::load(&*plugin, repository.path(), name)?;
        let (mut direct_ns, mut through_ns) = (Rounds::default(), Rounds::default());
        for _ in 0..ROUNDS {
            direct_ns.push(batch(&*direct, inputs, outputs)?);
            through_ns.push(batch(&*through, inputs, outputs)?);
        }
        let difference = through_ns.less(&direct_ns);
        println!("  {shown:<24} {direct_ns:<24} {through_ns:<24} {difference:<24}");
        if name == models::NULL {
            empty_call = difference.median();
        }
    }
    isolated(&*plugin, repository.path())?;
    let want = Want::AtMost(PROMISED_NANOSECONDS);
    Ok(vec![Promise::new("boundary_over_virtual_call", empty_call, "ns", want)])
}

/// The same plugin in this process and in one of its own. By the clock, for most of it is waiting.
fn isolated(plugin: &dyn Platform, repository: &Path) -> anyhow::Result<()> {
    const ROUNDS: usize = 31;
    let arguments = ["worker", "--log-level=warn", "--log-format=text"].map(Into::into);
    let program = Program { path: built::server()?, arguments: arguments.into() };
    let isolation = Isolation::new(program, HostServices::default())?;
    let apart = isolation.platform(plugin.name(), &built::echo_plugin()?, None);
    println!("  microseconds a call by the clock, {ROUNDS} rounds");
    println!("  {:<24} {:<24} {:<24}", "model", "in this process", "in its own");
    for (name, shown, rows, calls) in [
        (models::NULL, "null", 0, 500),
        (models::SMALL, "FP32 [1,16] in and out", 1, 500),
        (models::SMALL, "FP32 [16384,16], 1 MiB", 16_384, 20),
    ] {
        let shape = Shape::new(&[rows, 16])?;
        let input = Tensor::from_vec(shape.clone(), vec![1.0f32; shape.element_count()])?;
        let (inputs, outputs) = if rows == 0 { (&[][..], &[][..]) } else { (&[input][..], &[0][..]) };
        let models = [models::load(plugin, repository, name)?, models::load(&*apart, repository, name)?];
        let mut figures = [const { Rounds::new() }; 2];
        for _ in 0..ROUNDS {
            for (model, figures) in models.iter().zip(&mut figures) {
                let start = Instant::now();
                call(&**model, inputs, outputs, calls)?;
                figures.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
            }
        }
        let [here, there] = &figures;
        println!("  {shown:<24} {here:<24} {there:<24}");
    }
    Ok(())
}

/// Nanoseconds a call.
fn batch(model: &dyn Model, inputs: &[Tensor], outputs: &[usize]) -> anyhow::Result<f64> {
    let start = thread_cpu_time();
    call(model, inputs, outputs, CALLS)?;
    Ok((thread_cpu_time() - start).as_secs_f64() * 1e9 / f64::from(CALLS))
}

fn call(model: &dyn Model, inputs: &[Tensor], outputs: &[usize], times: u32) -> anyhow::Result<()> {
    let context = RunContext::default();
    let views: Vec<_> = inputs.iter().map(|input| Some(input.view())).collect();
    let request = RunRequest { signature: 0, inputs: &views, outputs, context };
    for _ in 0..times {
        black_box(black_box(model).run(black_box(&request))?);
    }
    Ok(())
}
