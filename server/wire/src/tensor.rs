//! `tensorflow.TensorProto` to tensors and back.

mod decode;
mod encode;

pub use decode::decode_tensor;
pub use encode::{TensorForm, encode_tensor};

#[cfg(test)]
mod tests;
