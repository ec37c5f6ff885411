//! The C-layout contract between the server and a platform plugin.
//!
//! A plugin is a shared library. It hands the server a [`PluginV1`], a table of functions; the server hands it a
//! [`HostV1`]. Tables lead to tables: a plugin has [`PlatformV1`]s, which load models, which are run through a
//! [`ModelV1`]. Beside these there may be a [`PlatformMemoryV1`], which says what models take, a [`SourcesV1`], whose
//! sources say which models there should be, and a [`TensorDetailsV1`], which says more of inputs and outputs; and the server may offer a [`BatchingV1`], which runs steps of many requests
//! at once.
//!
//! **A table never changes once released.** Nothing is added to it, nothing is taken away, no field changes its
//! meaning. A new ability is a new table under a new name (`ModelV2`, `salver.stream/1`), which either side asks the
//! other for and lives without. `layout/v1.txt` has every offset, and `tests/frozen.rs` and `cargo xtask codegen` hold to it.
//!
//! There are two doors to the same tables. A Rust plugin exports [`rust_door`]'s root module, whose layout is
//! checked, table by table and argument by argument, before anything is called. A plugin in C or C++ exports one
//! function, [`C_DOOR`], which is asked for [`PLUGIN_V1`] and what else there is. Both carry a [`note`] that is read before any of their
//! code runs.
//!
//! Rules that hold for every table:
//! - Every pointer is borrowed for the call, unless its documentation names another owner. What is borrowed is not
//!   written to, and not kept.
//! - Nothing unwinds out of a function of a table: neither a panic nor a C++ exception.
//! - A function may be called from many threads at once, unless its documentation says otherwise.
//! - A function that returns `u32` returns [`OK`] or how it failed: a number of `google.rpc.Code` or [`PANICKED`]; it
//!   says why through the [`ErrorSink`] it is given. One that may have no answer returns [`CANNOT_TELL`] then.
//! - Numbers that are names ([`F32`], [`PARAM_TEXT`]) are `u32`; one that is not known is refused, never guessed.
//! - Tables, and all that they point to, live as long as the process: a library is never unmapped.

#![expect(unsafe_code, reason = "the contract is read through pointers that a foreign library wrote")]

mod batching;
mod code;
mod details;
mod host;
mod memory;
mod model;
pub mod note;
mod param;
mod plugin;
pub mod rust_door;
mod signature;
mod source;
mod tensor;
mod text;
mod time;

pub use batching::{BATCHING_V1, BatchingV1, StepV1};
pub use code::*;
pub use details::{KIND_INPUT, KIND_OUTPUT, SHAPE_IS_ADVISORY, TENSOR_DETAILS_V1};
pub use details::{TensorDetail, TensorDetailsV1};
pub use host::{CpuV1, HostV1, LogV1, MetricsV1};
pub use host::{LEVEL_DEBUG, LEVEL_ERROR, LEVEL_INFO, LEVEL_OFF, LEVEL_TRACE, LEVEL_WARN};
pub use host::{METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM};
pub use memory::{ANY_INSTANCE, PLATFORM_MEMORY_V1, WHEN_LOADED, WHEN_LOADING};
pub use memory::{PlatformMemoryV1, Quantity, QuantitySink};
pub use model::{ModelV1, Outputs, RunRequest};
pub use param::{PARAM_BOOL, PARAM_FLOAT, PARAM_INT, PARAM_TEXT, Param};
pub use plugin::{C_DOOR, LoadRequest, LoadedModel, PLUGIN_V1, PlatformV1, PluginV1, TableDoor};
pub use signature::{ANY_RANK, OPTIONAL, Signature, Signatures, TensorSpec};
pub use source::{AspiredStream, AspiredVersion, SOURCES_V1, SourceV1, SourcesV1, TargetV1};
pub use tensor::*;
pub use text::{Bytes, Malformed, Str, TextSink, array};
pub use time::{instant_at, monotonic_ns};

/// The version of the contract as a whole: the major number of this crate. It rises only when an old table is no
/// longer offered; a host refuses a plugin whose note says another.
pub const ABI_MAJOR: u32 = match u32::from_str_radix(note::ABI, 10) {
    Ok(number) => number,
    Err(_) => panic!("a version begins with a number"),
};
