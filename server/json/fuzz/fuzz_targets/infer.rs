//! Infer requests of arbitrary bytes, the first two saying how many of the rest are JSON.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use salver_server_json::InferRequest;

fuzz_target!(|input: &[u8]| {
    if let Some((length, body)) = input.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length));
        let _ = InferRequest::read(&Bytes::copy_from_slice(body), length, "m");
    }
});
