//! What it costs that a platform is a plugin: a call through the C tables of its `.so`, less the same call through a
//! trait object of the same code in this program.

use std::hint::black_box;

use salver_core_platform::{Model, RunContext, RunRequest};
use salver_core_tensor::Tensor;

use crate::figures::{Promise, Rounds, Want, thread_cpu_time};
use crate::models;

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
    let want = Want::AtMost(PROMISED_NANOSECONDS);
    Ok(vec![Promise::new("boundary_over_virtual_call", empty_call, "ns", want)])
}

/// Nanoseconds a call.
fn batch(model: &dyn Model, inputs: &[Tensor], outputs: &[usize]) -> anyhow::Result<f64> {
    let context = RunContext::default();
    let views: Vec<_> = inputs.iter().map(|input| Some(input.view())).collect();
    let request = RunRequest { signature: 0, inputs: &views, outputs, context };
    let start = thread_cpu_time();
    for _ in 0..CALLS {
        black_box(black_box(model).run(black_box(&request))?);
    }
    Ok((thread_cpu_time() - start).as_secs_f64() * 1e9 / f64::from(CALLS))
}
