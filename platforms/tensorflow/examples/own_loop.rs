//! TensorFlow alone, by its C API: what `cargo xtask bench platforms` holds the server's path against.
//!
//! `own_loop MODEL ROWS THREADS`, of a model whose input `x` has 1,024 columns; for each line on standard input it runs for a while and prints runs per second.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::io::BufRead as _;
use std::path::Path;
use std::time::{Duration, Instant};

use salver_platforms_tensorflow_sys::{Session, TensorFlow};

const WIDTH: usize = 1024;
const ROUND: Duration = Duration::from_millis(400);

/// `ConfigProto { intra_op_parallelism_threads: 1, inter_op_parallelism_threads: 1 }`.
const ONE_THREAD: [u8; 4] = [0x10, 1, 0x28, 1];

/// TF_FLOAT, of `tf_datatype.h`.
const FLOAT: i32 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, threads] = arguments.as_slice() else { return Err("MODEL ROWS THREADS".into()) };
    let (rows, threads): (usize, usize) = (rows.parse()?, threads.parse()?);
    let api = TensorFlow::open(Path::new(&std::env::var("SALVER_TENSORFLOW_LIBRARY")?))?;
    let (session, _) = Session::load(api, Path::new(model), &["serve"], &ONE_THREAD)?;
    let port = |name: &str| session.port(name).ok_or_else(|| format!("the graph has no `{name}`"));
    let (input, outputs) = (port("x:0")?, [port("y:0")?]);
    let pixels = 1.0f32.to_le_bytes().repeat(rows * WIDTH);
    for line in std::io::stdin().lock().lines() {
        line?;
        let counts = std::thread::scope(|scope| {
            let work = || -> Result<f64, String> {
                let (start, mut count) = (Instant::now(), 0.0);
                while start.elapsed() < ROUND {
                    let text = |error: salver_platforms_tensorflow_sys::Error| error.to_string();
                    let tensor = api.tensor(FLOAT, &[rows as i64, WIDTH as i64], &pixels).map_err(text)?;
                    drop(session.run(&[], &[(input, &tensor)], &outputs).map_err(text)?);
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
