//! The behaviours of TensorFlow Serving's `aspired_versions_manager_test.cc` and more: of the manager by its public API,
//! and of what it decides under thousands of schedules.

mod fixture;
mod lifecycle;
#[path = "../../../basic/src/tests/loaders.rs"]
mod loaders;
mod options;
mod permutations;
mod schedules;
mod threads;
#[path = "../../../basic/src/tests/world.rs"]
mod world;

use salver_manager_basic::engine;
