//! Writes models of any size, for tests and benchmarks.
//!
//! A model is a chain of square matrices that its input is multiplied by, as ONNX, as a TorchScript module or as a
//! SavedModel: what a framework holds of it is weights and little else. Its bytes are the same each time, and its weights
//! in each format.

mod onnx;
mod protobuf;
mod saved_model;
mod torchscript;

pub use onnx::write_model;
pub use saved_model::write_saved_model;
pub use torchscript::write_torchscript;

use std::io::{self, Write};

/// Rows and columns of each matrix, and columns of the input `x`, FP32 `[-1, WIDTH]`, and the output `y`.
pub const WIDTH: u16 = 1024;

/// The bytes of one matrix.
pub const LAYER_BYTES: u64 = WIDTH as u64 * WIDTH as u64 * size_of::<f32>() as u64;

/// The name of a matrix.
fn matrix(layer: u64) -> String {
    format!("w{layer}")
}

/// The name of what goes into a layer; of the last one's result, the name of the output.
fn between(layer: u64, layers: u64) -> String {
    match layer {
        0 => "x".to_owned(),
        layer if layer == layers => "y".to_owned(),
        layer => format!("h{layer}"),
    }
}

/// Numbers that keep the output about as large as the input, and look like chance.
fn weights(out: &mut impl Write, layer: u64) -> io::Result<()> {
    // Of even distribution in -a..a the variance is a * a / 3; WIDTH of them are to add up to 1.
    let most = (3.0 / f32::from(WIDTH)).sqrt();
    // Marsaglia's xorshift64 with his third set of shifts; its state must not be 0.
    let mut state = (layer + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for _ in 0..LAYER_BYTES / size_of::<f32>() as u64 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let even = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        out.write_all(&(even * most).to_le_bytes())?;
    }
    Ok(())
}

/// All matrices of a model, one after the other.
fn all_weights(layers: u64) -> io::Result<Vec<Vec<u8>>> {
    let one = |layer| {
        let mut bytes = Vec::new();
        weights(&mut bytes, layer)?;
        Ok(bytes)
    };
    (0..layers).map(one).collect()
}
