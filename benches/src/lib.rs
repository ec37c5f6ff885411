//! Benchmarks that print their figure beside the promise.
