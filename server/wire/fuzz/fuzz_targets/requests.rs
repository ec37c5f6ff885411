//! Feeds bytes to the guard, the decoder and the conversion to tensors.
//!
//! `cargo +nightly fuzz run requests` from `server/wire`.

#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use prost::Message;
use prost::bytes::Bytes;
use salver_proto::inference::ModelInferRequest;
use salver_proto::tensorflow::serving::{MultiInferenceRequest, PredictRequest};
use salver_server_wire::{decode_examples, decode_inputs, decode_tensor, guard};

fuzz_target!(|data: &[u8]| {
    let message = Bytes::copy_from_slice(data);
    if guard::check(&guard::PREDICT, data).is_ok()
        && let Ok(request) = PredictRequest::decode(message.clone())
    {
        for input in request.inputs {
            let _ = decode_tensor(input.value.unwrap_or_default(), &Cell::new(1 << 20));
        }
    }
    if guard::check(&guard::MULTI_INFERENCE, data).is_ok()
        && let Ok(request) = MultiInferenceRequest::decode(message.clone())
    {
        let _ = decode_examples(request.input);
    }
    if guard::check(&guard::MODEL_INFER, data).is_ok()
        && let Ok(request) = ModelInferRequest::decode(message)
    {
        let _ = decode_inputs("m", request.inputs, request.raw_input_contents);
    }
});
