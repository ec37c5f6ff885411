//! What the source asks for: the behaviours of TensorFlow Serving's `file_system_storage_path_source_test.cc`, and what
//! goes beyond it.

mod discovery;
mod fixture;
mod interleavings;
mod models;
mod settling;
mod threads;
