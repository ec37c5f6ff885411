//! TensorFlow's C API, opened at run time, behind types that are safe to use.
//!
//! The few dozen functions of `tensorflow/c/c_api.h`, `tf_tensor.h`, `tf_status.h`, `tf_buffer.h` and `tf_tstring.h` that it
//! takes to load a SavedModel and run it. The C API is stable: what is here has not changed since TensorFlow 2.4. There is
//! no Python in it, and nothing is linked: [`TensorFlow::open`] opens the library.
//!
//! Names are the C API's, without their prefix.

#![expect(unsafe_code, reason = "this is where TensorFlow's functions are called")]

mod api;
mod session;
mod status;
mod tensor;

pub use api::TensorFlow;
pub use session::{Port, Session};
pub use status::Error;
pub use tensor::{STRING, Tensor};
