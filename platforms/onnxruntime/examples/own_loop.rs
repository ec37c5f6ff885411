//! ONNX Runtime alone: what `cargo xtask bench platforms` holds the server's path against.
//!
//! `own_loop MODEL ROWS THREADS`, of a model whose input `x` has 1,024 columns; for each line on standard input it runs for a while and prints runs per second.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::io::BufRead as _;
use std::time::{Duration, Instant};

use ort::session::Session;
use ort::value::TensorRef;

const WIDTH: usize = 1024;
const ROUND: Duration = Duration::from_millis(400);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, threads] = arguments.as_slice() else { return Err("MODEL ROWS THREADS".into()) };
    let rows: usize = rows.parse()?;
    let environment =
        ort::init_from(std::env::var("SALVER_ONNXRUNTIME_LIBRARY")?)?.with_telemetry(false).build()?;
    let session = || -> Result<Session, ort::Error> {
        Session::builder(&environment)?.with_intra_threads(1)?.commit_from_file(model)
    };
    let mut sessions = (0..threads.parse()?).map(|_: usize| session()).collect::<Result<Vec<_>, _>>()?;
    let pixels = vec![1.0f32; rows * WIDTH];
    for line in std::io::stdin().lock().lines() {
        line?;
        let counts = std::thread::scope(|scope| {
            let loops: Vec<_> = sessions
                .iter_mut()
                .map(|session| {
                    let pixels = &pixels;
                    scope.spawn(move || -> Result<f64, ort::Error> {
                        let (start, mut count) = (Instant::now(), 0.0);
                        while start.elapsed() < ROUND {
                            let input = TensorRef::from_array_view(([rows, WIDTH], pixels.as_slice()))?;
                            drop(session.run(ort::inputs!["x" => input])?);
                            count += 1.0;
                        }
                        Ok(count / start.elapsed().as_secs_f64())
                    })
                })
                .collect();
            loops
                .into_iter()
                .map(|each| each.join().map_err(|_| "a thread panicked"))
                .collect::<Result<Vec<_>, _>>()
        })?;
        println!("{}", counts.into_iter().sum::<Result<f64, _>>()?);
    }
    Ok(())
}
