//! Command line and model settings, read into validated configuration.
//!
//! Reading has two steps. [`Cli`] is the command line as it was typed; [`ServeArgs::validate`] turns it into a
//! [`ServeConfig`] that cannot be wrong, or says which flag is. What a model says of itself, in a `model.toml` beside
//! its versions, is [`ModelSettings`]; a list of models, as TensorFlow Serving has it, is a [`ModelList`]. What both say of
//! batching, and a model's Triton configuration or a version's file, come together in a [`BatchingConfig`].

mod args;
mod batching;
mod compat;
mod edit;
mod file;
mod memory;
mod model;
mod model_list;
mod on_demand;
mod options;
mod policy;
mod serve;
mod size;
mod source;
mod text_proto;
mod text_tree;
mod triton;

pub use args::{CheckArgs, Cli, Command, LogFormat, ModelArgs, PluginCommand, ServeArgs, WorkerArgs};
pub use batching::{BatchingConfig, parse_tensorflow_batching, parse_triton_batching};
pub use edit::edit_model;
pub use memory::{DeviceMemory, MemoryLimit};
pub use model::{ModelSettings, SETTINGS_FILE};
pub use model_list::{Location, ModelEntry, ModelList};
pub use on_demand::{Eviction, LoadMode, OnDemand};
pub use policy::Transition;
pub use serve::{Answers, Discovery, Limits, Listen, Loading, ModelListFile, RestPort, ServeConfig};
pub use source::SourceEntry;
pub use triton::TRITON_FILE;
