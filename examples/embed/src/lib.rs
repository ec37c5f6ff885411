//! Programs that embed Salver: its manager alone, and its whole server.
//!
//! - `cargo run -p salver-examples-embed --bin hash_map` serves a hash map, without tensors, network or runtime.
//! - `cargo run -p salver-examples-embed --bin server` is a server with a platform of its own.
//!
//! `docs/embedding.md` walks through both.
