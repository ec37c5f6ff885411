//! ONNX Runtime alone: what `cargo xtask bench platforms` holds the server's path against.
//!
//! `onnxruntime_loop MODEL ROWS COLUMNS`; for each number of threads on standard input it runs for a while.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(unsafe_code, reason = "`ort` lets one thread at a time run a session, ONNX Runtime any number")]

use std::error::Error;
use std::ptr;

use ort::AsPointer as _;
use ort::session::Session;
use ort::value::TensorRef;

#[path = "../../../benches/own_loop.rs"]
mod own_loop;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, columns] = arguments.as_slice() else { return Err("MODEL ROWS COLUMNS".into()) };
    let shape: [usize; 2] = [rows.parse()?, columns.parse()?];
    let library = std::env::var("SALVER_ONNXRUNTIME_LIBRARY")?;
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    let session = Session::builder(&environment)?.with_intra_threads(1)?.commit_from_file(model)?;
    let session = session.inner();
    let x = vec![1.0_f32; shape.iter().product()];
    own_loop::obey(|| -> Result<(), Box<dyn Error>> {
        let x = TensorRef::from_array_view((shape, x.as_slice()))?;
        let mut y = ptr::null_mut();
        // SAFETY: session, names, input and the place for the output live through the call, and there is one of each. Many
        // threads may run a session; a null output asks for one to be made.
        let failed = unsafe {
            (ort::api().Run)(
                session.ptr().cast_mut(),
                ptr::null(),
                [c"x".as_ptr()].as_ptr(),
                [x.ptr()].as_ptr(),
                1,
                [c"y".as_ptr()].as_ptr(),
                1,
                &raw mut y,
            )
        };
        // SAFETY: it was just returned by ONNX Runtime, and is nobody else's.
        unsafe { ort::Error::result_from_status(failed) }?;
        // SAFETY: made by the run for its caller, and released once.
        unsafe { (ort::api().ReleaseValue)(y) };
        Ok(())
    })
}
