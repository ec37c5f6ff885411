//! The behaviours of TensorFlow Serving's `aspired_versions_manager_test.cc` and a few more, by the public API, and
//! the reconciler alone under every interleaving that proptest thinks of.

mod fixture;
mod lifecycle;
mod threads;
