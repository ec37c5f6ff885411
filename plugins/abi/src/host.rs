//! The tables the server offers a plugin.
//!
//! A plugin has its own copy of every static, so its logger, its metrics and its idea of the machine are not the
//! server's: they reach it as tables.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::Str;

/// Nothing is logged.
pub const LEVEL_OFF: u32 = 0;
/// A person must act.
pub const LEVEL_ERROR: u32 = 1;
/// Degraded.
pub const LEVEL_WARN: u32 = 2;
/// The life of models and platforms.
pub const LEVEL_INFO: u32 = 3;
/// For who looks for a fault.
pub const LEVEL_DEBUG: u32 = 4;
/// Everything.
pub const LEVEL_TRACE: u32 = 5;

/// A figure that only rises: recording adds to it.
pub const METRIC_COUNTER: u32 = 1;
/// A figure that rises and falls: recording sets it.
pub const METRIC_GAUGE: u32 = 2;
/// A distribution: recording adds an observation.
pub const METRIC_HISTOGRAM: u32 = 3;

/// The server, as this plugin sees it. None of the pointers is null.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct HostV1 {
    /// Passed to `table`.
    pub context: *const c_void,
    /// The server's log.
    pub log: *const LogV1,
    /// The server's metrics.
    pub metrics: *const MetricsV1,
    /// What the plugin may use of the processor.
    pub cpu: *const CpuV1,
    /// The plugin's own file, near which the libraries lie that it needs; its bytes as the file system has them.
    pub plugin_path: Str,
    /// A table that came later, by name, such as `salver.batching/1`; null where this server has none of that name.
    pub table: unsafe extern "C" fn(context: *const c_void, name: Str) -> *const c_void,
}

/// The server's log.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct LogV1 {
    /// Passed to the functions below.
    pub context: *const c_void,
    /// The finest level that anybody reads now, such as [`LEVEL_INFO`]; it may change at any time.
    pub max_level: unsafe extern "C" fn(context: *const c_void) -> u32,
    /// Writes a line. `target` says which part of the plugin speaks; it may be empty.
    pub write: unsafe extern "C" fn(context: *const c_void, level: u32, target: Str, message: Str),
}

/// The server's metrics.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct MetricsV1 {
    /// Passed to the functions below.
    pub context: *const c_void,
    /// Makes a metric of a kind such as [`METRIC_COUNTER`] and returns its id, the same for the same name; 0 where the
    /// server does not take it.
    pub make: unsafe extern "C" fn(context: *const c_void, kind: u32, name: Str, help: Str) -> u64,
    /// Records `value`; does nothing for the id 0.
    pub record: unsafe extern "C" fn(context: *const c_void, id: u64, value: f64),
}

/// What the plugin may use of the processor.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct CpuV1 {
    /// Passed to the function below.
    pub context: *const c_void,
    /// How many threads the plugin's pools should have together; at least 1.
    pub threads: unsafe extern "C" fn(context: *const c_void) -> u32,
}

macro_rules! shared {
    ($($table:ident),*) => {$(
        // SAFETY: the table is not written to once it is handed out, and its functions may be called from any thread.
        unsafe impl Send for $table {}
        // SAFETY: as above.
        unsafe impl Sync for $table {}
    )*};
}

shared!(HostV1, LogV1, MetricsV1, CpuV1);
