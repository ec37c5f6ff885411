//! The `salver` program.
fn main() {}
