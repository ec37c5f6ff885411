//! TensorFlow alone, by its C API: what `cargo xtask bench platforms` holds the server's path against.
//!
//! `tensorflow_loop MODEL ROWS COLUMNS`; for each number of threads on standard input it runs for a while.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::path::Path;

use salver_platforms_tensorflow_sys::{Session, TensorFlow};

#[path = "../../../benches/own_loop.rs"]
mod own_loop;

/// TF_FLOAT, of `tf_datatype.h`.
const FLOAT: i32 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, columns] = arguments.as_slice() else { return Err("MODEL ROWS COLUMNS".into()) };
    let shape: [i64; 2] = [rows.parse()?, columns.parse()?];
    let api = TensorFlow::open(Path::new(&std::env::var("SALVER_TENSORFLOW_LIBRARY")?))?;
    // `ConfigProto`: 1 thread within an operator, as many over operators as there are processors.
    let processors = u8::try_from(std::thread::available_parallelism()?.get().min(0x7F))?;
    let config = [2 << 3, 1, 5 << 3, processors];
    let (session, _) = Session::load(api, Path::new(model), &["serve"], &config)?;
    let port = |name: &str| session.port(name).ok_or_else(|| format!("the graph has no `{name}`"));
    let (input, output) = (port("x:0")?, port("y:0")?);
    let x = 1.0_f32.to_le_bytes().repeat(usize::try_from(shape[0] * shape[1])?);
    own_loop::obey(|| {
        let x = api.tensor(FLOAT, &shape, &x)?;
        session.run(&[], &[(input, &x)], &[output])
    })
}
