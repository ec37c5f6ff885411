//! libtorch alone: what `cargo xtask bench platforms` holds the server's path against.
//!
//! `libtorch_loop MODEL ROWS COLUMNS`; for each number of threads on standard input it runs for a while.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;

#[cfg(not(feature = "check-only"))]
#[path = "../../../benches/own_loop.rs"]
mod own_loop;

#[cfg(not(feature = "check-only"))]
fn main() -> Result<(), Box<dyn Error>> {
    use tch::{CModule, IValue, Tensor};

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, columns] = arguments.as_slice() else { return Err("MODEL ROWS COLUMNS".into()) };
    // Every run computes on the thread that wants it.
    tch::set_num_threads(1);
    tch::jit::f_set_profiling_mode(false)?;
    let mut module = CModule::load(model)?;
    module.set_eval();
    let x = vec![1.0_f32; rows.parse::<usize>()? * columns.parse::<usize>()?];
    let shape = [rows.parse()?, columns.parse()?];
    own_loop::obey(|| {
        let x = Tensor::from_slice(&x).f_reshape(shape)?;
        tch::no_grad(|| module.forward_is(&[IValue::Tensor(x)]))
    })
}

#[cfg(feature = "check-only")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("built without libtorch");
    Ok(())
}
