//! Decodes sequences step by step, with the steps of many requests run together.
//!
//! A model continues a sequence of tokens: each step reads all of its weights to find one more token, and costs little more for
//! sixteen sequences than for one. Requests are as long as they are, so batching whole requests would make the short ones wait
//! for the long ones. Instead the model opens a queue for its step; each request goes through its own steps, and shares each with
//! whoever is decoding at that moment. Nobody waits for anybody to end.
//!
//! ```text
//! cargo build --release --package salver-plugins-examples-decode
//! cp target/release/libsalver_decode.so <the server's plugin directory>
//! mkdir -p models/story/1 && echo "width 2048 layers 4 vocabulary 256 seed 7" > models/story/1/decode.txt
//! ```
//!
//! There is a platform, which reads the file and opens the queue ([`platform`]); the step, a model that only the queue runs
//! ([`step`]); the model that requests see, a loop around the queue ([`decode`]); and the arithmetic of it all, in whole numbers,
//! so that an answer does not depend on who shared its steps ([`network`]).

mod decode;
mod network;
mod platform;
mod step;
#[cfg(test)]
mod tests;

salver_plugins_sdk::export_plugin! {
    name: "decode",
    platforms: { "decode" => platform::Decoders },
}
