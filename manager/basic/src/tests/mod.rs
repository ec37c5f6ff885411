//! The behaviours of TensorFlow Serving's `basic_manager_test.cc` and `loader_harness_test.cc` and more: of the
//! registry alone, of the registry under thousands of schedules, and of the manager by its public API.

mod fixture;
mod lifecycle;
mod load_threads;
mod loaders;
mod resources;
mod retries;
mod room;
mod schedules;
mod world;

use crate::engine;
