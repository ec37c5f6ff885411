//! Predict requests of arbitrary bytes, read by signatures of one and of several inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use salver_core_signature::{ShapeSpec, Signature, TensorSpec};
use salver_core_tensor::DType;
use salver_server_json::PredictRequest;

fuzz_target!(|body: &[u8]| {
    let Ok(request) = PredictRequest::read(body) else { return };
    let spec = |name: &str, dtype| TensorSpec::new(name, dtype, ShapeSpec::any());
    for inputs in [
        vec![spec("a", DType::F32)],
        vec![spec("a", DType::String)],
        vec![spec("a", DType::I64), spec("b", DType::String).optional(None), spec("c", DType::F16)],
    ] {
        let _ = request.inputs(&Signature::predict(inputs, Vec::new()));
    }
});
