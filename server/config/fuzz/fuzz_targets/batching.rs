//! Batching parameters of arbitrary text, in each of the forms, and what comes of those that are read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use salver_server_config::{ModelSettings, parse_tensorflow_batching, parse_triton_batching};

fuzz_target!(|text: &str| {
    let model = ModelSettings::of_text(text).ok().and_then(|settings| settings.batching);
    let said = [parse_tensorflow_batching(text).ok(), parse_triton_batching(text).ok(), model];
    for parameters in said.into_iter().flatten() {
        let _ = parameters.resolve();
    }
});
