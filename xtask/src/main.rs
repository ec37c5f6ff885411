//! Everything a person or a CI job runs in this repository.
fn main() {}
