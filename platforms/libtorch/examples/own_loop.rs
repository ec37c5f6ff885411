//! libtorch alone: what `cargo xtask bench platforms` holds the server's path against.
//!
//! `own_loop MODEL ROWS THREADS`, of a model whose input `x` has 1,024 columns; for each line on standard input it runs for a while and prints runs per second.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(not(feature = "check-only"))]
    own_loop::run()?;
    #[cfg(feature = "check-only")]
    println!("built without libtorch");
    Ok(())
}

#[cfg(not(feature = "check-only"))]
mod own_loop {
    use std::error::Error;
    use std::io::BufRead as _;
    use std::time::{Duration, Instant};

    use tch::{CModule, Kind, Tensor};

    const WIDTH: i64 = 1024;
    const ROUND: Duration = Duration::from_millis(400);

    pub(super) fn run() -> Result<(), Box<dyn Error>> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [model, rows, threads] = arguments.as_slice() else { return Err("MODEL ROWS THREADS".into()) };
        let (rows, threads): (i64, usize) = (rows.parse()?, threads.parse()?);
        tch::set_num_threads(1);
        let mut module = CModule::load(model)?;
        module.set_eval();
        for line in std::io::stdin().lock().lines() {
            line?;
            let counts = std::thread::scope(|scope| {
                let work = || -> Result<f64, tch::TchError> {
                    tch::set_num_threads(1);
                    let pixels = Tensor::ones([rows, WIDTH], (Kind::Float, tch::Device::Cpu));
                    let (start, mut count) = (Instant::now(), 0.0);
                    while start.elapsed() < ROUND {
                        drop(tch::no_grad(|| module.forward_ts(&[&pixels]))?);
                        count += 1.0;
                    }
                    Ok(count / start.elapsed().as_secs_f64())
                };
                let loops: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                loops
                    .into_iter()
                    .map(|each| each.join().map_err(|_| "a thread panicked"))
                    .collect::<Result<Vec<_>, _>>()
            })?;
            println!("{}", counts.into_iter().sum::<Result<f64, _>>()?);
        }
        Ok(())
    }
}
