//! The tables a plugin offers: itself, and its platforms.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::{ErrorSink, HostV1, ModelV1, Param, Str, TextSink};

/// The name of [`PluginV1`] at the C door.
pub const PLUGIN_V1: &str = "salver.plugin/1";

/// The symbol that a plugin in C or C++ exports: a [`TableDoor`].
pub const C_DOOR: &str = "salver_plugin_table";

/// The C door: hands out the table called `name`, null where the plugin has none of that name. May be called from any
/// thread, before anything else.
pub type TableDoor = unsafe extern "C" fn(name: Str) -> *const c_void;

/// A plugin. Every function must be there.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct PluginV1 {
    /// Starts the plugin. Called once, before any other function; `host` lives as long as the process.
    pub start: Option<unsafe extern "C" fn(host: *const HostV1, error: *const ErrorSink) -> u32>,
    /// How many platforms the plugin has. Called after `start`.
    pub platform_count: Option<unsafe extern "C" fn() -> usize>,
    /// The platform at `index`, below `platform_count`. Called after `start`; the table lives as long as the process.
    pub platform: Option<unsafe extern "C" fn(index: usize) -> *const PlatformV1>,
}

/// A framework that can load models from directories. Every function must be there.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct PlatformV1 {
    /// Passed to the functions below.
    pub context: *const c_void,
    /// What configuration calls the platform: lower case. The plugin's note lists it.
    pub name: Str,
    /// Whether the files in `directory`, one version of a model, look like this platform's: 1 where they do, 0 where
    /// not. Puts into `text` the file it recognises the model by, or why it does not. Looks at names, at most at the
    /// first bytes.
    pub probe:
        Option<unsafe extern "C" fn(context: *const c_void, directory: Str, text: *const TextSink) -> u32>,
    /// Loads a model. May take minutes. On [`OK`](crate::OK), `out` is filled, and what it holds belongs to the plugin
    /// until it is unloaded; on anything else `out` is not looked at.
    pub load: Option<
        unsafe extern "C" fn(
            context: *const c_void,
            request: *const LoadRequest,
            out: *mut LoadedModel,
            error: *const ErrorSink,
        ) -> u32,
    >,
}

/// What a platform is given to load a model. All of it is borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct LoadRequest {
    /// The model's name.
    pub name: Str,
    /// Its version, 0 or more.
    pub version: i64,
    /// Where the version's files are: an absolute path, or one relative to the working directory; its bytes as the file
    /// system has them.
    pub directory: Str,
    /// Settings for this platform.
    pub options: *const Param,
    /// How many there are.
    pub option_count: usize,
    /// A word that turns from 0 to 1 when the load is no longer wanted: read it with an atomic load. Null where that
    /// cannot happen.
    pub cancelled: *const u32,
}

/// What a load made.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct LoadedModel {
    /// Passed to the functions of `table`; may be null if they do not need it.
    pub model: *mut c_void,
    /// How the model is used: lives as long as the process.
    pub table: *const ModelV1,
}

// SAFETY: a platform's table is not written to once it is handed out, and its functions may be called from any thread.
unsafe impl Send for PlatformV1 {}
// SAFETY: as above.
unsafe impl Sync for PlatformV1 {}
