//! Conversions between protobuf messages and core types, and the guard in front of the decoder.
//!
//! Nothing here waits, looks a model up or knows a transport. A request passes [`guard`] as bytes, is decoded, and
//! becomes tensors by [`decode_tensor`] (TensorFlow Serving) or [`decode_inputs`] (Open Inference Protocol); a reply
//! goes the other way by [`encode_tensor`] or [`encode_output`]. Tensor contents are shared with the message, not
//! copied, wherever the wire has them in memory order and alignment allows it.
//!
//! Every failure is a [`Status`](salver_core_status::Status), since nearly all are INVALID_ARGUMENT; the texts of the
//! Open Inference Protocol's are Triton's.

mod describe;
mod dtype;
mod examples;
pub mod guard;
mod infer;
mod parameters;
mod spec;
mod status;
mod tensor;

pub use describe::{signature_def_map, tensor_metadata};
pub use examples::{classification_result, decode_examples, regression_result};
pub use infer::{decode_inputs, decode_raw, encode_output};
pub use parameters::{decode_parameters, encode_parameters, refuse_unsupported};
pub use spec::{model_spec, model_version_status, parse_version, version_choice};
pub use status::truncated;
pub use tensor::{TensorForm, decode_tensor, encode_tensor};
