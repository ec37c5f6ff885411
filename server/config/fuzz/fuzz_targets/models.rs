//! Lists of models, and settings of one, of arbitrary text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use salver_server_config::{ModelList, ModelSettings};

fuzz_target!(|text: &str| {
    let _ = ModelList::parse(text);
    let _ = ModelSettings::of_text(text);
});
