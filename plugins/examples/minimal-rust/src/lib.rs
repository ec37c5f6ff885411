//! The smallest platform plugin in Rust.
