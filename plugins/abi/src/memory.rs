//! What models take, before and after they are loaded: a table that a plugin may offer, and lives without.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::{ErrorSink, LoadRequest, Str};

/// The name of [`PlatformMemoryV1`] at the C door.
pub const PLATFORM_MEMORY_V1: &str = "salver.platform-memory/1";

/// A [`Quantity`] is what a model takes while it is being loaded, all told.
pub const WHEN_LOADING: u32 = 1;
/// A [`Quantity`] is what a model takes from then on.
pub const WHEN_LOADED: u32 = 2;

/// The `instance` of a [`Quantity`] that may be of any instance of the device.
pub const ANY_INSTANCE: i32 = -1;

/// So much of a resource. Devices and kinds that every server knows are `main`, the processor and its memory, `gpu`, and
/// `ram_in_bytes`.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Quantity {
    /// The device, such as `main`; of 1 to 64 bytes.
    pub device: Str,
    /// What there is so much of, such as `ram_in_bytes`; of 1 to 64 bytes.
    pub kind: Str,
    /// Which device of that name, counted from 0, or [`ANY_INSTANCE`]. `main` has only the instance 0.
    pub instance: i32,
    /// [`WHEN_LOADING`] or [`WHEN_LOADED`].
    pub when: u32,
    /// How much, in the unit of the kind.
    pub amount: u64,
}

/// Where a function says how much there is of what.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct QuantitySink {
    /// Passed to `add`.
    pub context: *mut c_void,
    /// Adds a quantity, which it copies. At most 256, and none twice of the same resource and time. Only during the call
    /// that was given the sink, and only on its thread.
    pub add: unsafe extern "C" fn(context: *mut c_void, quantity: *const Quantity),
}

/// What the models of a plugin's platforms take. Every function must be there.
///
/// `platform` is the position of a platform, as for [`PluginV1::platform`](crate::PluginV1::platform). The functions are
/// called after `start`, may block, and may be called from many threads at once; never from one that serves requests.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct PlatformMemoryV1 {
    /// Says what a model will take, without loading it: upper bounds. What is not said for [`WHEN_LOADING`] is what is
    /// said for [`WHEN_LOADED`]. Returns [`CANNOT_TELL`](crate::CANNOT_TELL) where the platform knows no better than by
    /// the size of the files; on any other failure the model is not loaded.
    pub estimate: Option<
        unsafe extern "C" fn(
            platform: usize,
            request: *const LoadRequest,
            quantities: *const QuantitySink,
            error: *const ErrorSink,
        ) -> u32,
    >,
    /// Says what a model takes now that it is loaded, [`WHEN_LOADED`]: at most what was estimated. Called between `load`
    /// and `unload` of the model. Returns [`CANNOT_TELL`](crate::CANNOT_TELL) where the platform does not know; the
    /// estimate then stands.
    pub resources: Option<
        unsafe extern "C" fn(
            platform: usize,
            model: *mut c_void,
            quantities: *const QuantitySink,
            error: *const ErrorSink,
        ) -> u32,
    >,
    /// Gives memory that is kept for later back to the operating system. Called after a model of the platform was
    /// unloaded. What the plugin has from the C library's `malloc` is the server's to give back, not the plugin's.
    pub trim: Option<unsafe extern "C" fn(platform: usize, error: *const ErrorSink) -> u32>,
}
