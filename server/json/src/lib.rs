//! Reads and writes tensors as JSON, in TensorFlow Serving's and the Open Inference Protocol's forms.
//!
//! Numbers go from the text straight into typed vectors: there is no tree of values in between, so what a request
//! costs in memory is bounded by a small multiple of its length, whatever shapes it claims. Every failure is the
//! caller's, an INVALID_ARGUMENT or, for what has no JSON form, UNIMPLEMENTED, and says at which byte it was found.
//!
//! Beyond the standard, `NaN`, `Infinity` and `-Infinity` stand for themselves, as both protocols' servers and clients
//! write them; `Inf` and `-Inf` are read too.
//!
//! ```
//! use salver_core_signature::{ShapeSpec, Signature, TensorSpec};
//! use salver_core_tensor::DType;
//! use salver_server_json::{Form, PredictRequest, write_predictions};
//!
//! let signature = Signature::predict(
//!     vec![TensorSpec::new("x", DType::F32, ShapeSpec::any())],
//!     vec![TensorSpec::new("y", DType::F32, ShapeSpec::any())],
//! );
//! let request = PredictRequest::read(br#"{"instances": [1.0, 2.5]}"#)?;
//! assert_eq!(request.form(), Form::Row);
//! let inputs = request.inputs(&signature)?;
//! assert_eq!(write_predictions(Form::Row, &[("y", inputs[0].1.view())])?, br#"{"predictions":[1.0,2.5]}"#);
//! # Ok::<(), salver_core_status::Status>(())
//! ```

mod column;
mod element;
mod examples;
mod infer;
mod infer_input;
mod infer_parameters;
mod infer_response;
mod number;
mod predict;
mod predict_response;
mod reader;
mod write;

pub use examples::{ExamplesRequest, write_classification, write_regression};
pub use infer::{InferRequest, RequestedOutput};
pub use infer_response::{EncodedResponse, InferResponse, ResponseOutput};
pub use predict::{Form, PredictRequest};
pub use predict_response::write_predictions;
