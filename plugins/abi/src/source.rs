//! Sources, which say which versions of which models there should be: tables that a plugin may offer, and lives without.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::{ErrorSink, Param, Str};

/// The name of [`SourcesV1`] at the C door.
pub const SOURCES_V1: &str = "salver.sources/1";

/// The kinds of sources that a plugin has. Every function must be there.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct SourcesV1 {
    /// How many there are. Called after [`PluginV1::start`](crate::PluginV1::start).
    pub count: Option<unsafe extern "C" fn() -> usize>,
    /// The one at `index`, below `count`. Called after `start`; the table lives as long as the process.
    pub source: Option<unsafe extern "C" fn(index: usize) -> *const SourceV1>,
}

/// A kind of source, of which any number may be made. Every function must be there.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct SourceV1 {
    /// Passed to the functions below.
    pub context: *const c_void,
    /// What the command line calls it: lower case. The plugin's note lists it.
    pub name: Str,
    /// What it is, in a sentence.
    pub description: Str,
    /// Makes a source and starts it. From here on it may call `target`, also during this call. On [`OK`](crate::OK),
    /// `source` is filled, perhaps with null; on anything else it is not looked at, and `target` is not called again.
    pub create: Option<
        unsafe extern "C" fn(
            context: *const c_void,
            options: *const Param,
            option_count: usize,
            target: *const TargetV1,
            source: *mut *mut c_void,
            error: *const ErrorSink,
        ) -> u32,
    >,
    /// Ends a source. Called once; returns when no thread calls `target` any more, nor ever will. Unloads nothing.
    pub destroy: Option<unsafe extern "C" fn(context: *const c_void, source: *mut c_void)>,
}

/// The server, as a source sees it: whoever is told which versions there should be. It lives as long as the process.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct TargetV1 {
    /// Passed to the function below.
    pub context: *const c_void,
    /// Says which versions one stream should have, **all of them**: one that is left out is to be unloaded. From any
    /// thread. Returns soon: versions are loaded later, elsewhere. Repeating a call is harmless; of several calls for one
    /// stream the last counts.
    ///
    /// Fails, and changes nothing, with [`INVALID_ARGUMENT`](crate::INVALID_ARGUMENT) where what is said cannot be, with
    /// [`ALREADY_EXISTS`](crate::ALREADY_EXISTS) where the stream is another source's, which may pass: say it again later;
    /// and with [`CANCELLED`](crate::CANCELLED) where the source is being ended.
    pub set_aspired: unsafe extern "C" fn(
        context: *const c_void,
        stream: *const AspiredStream,
        error: *const ErrorSink,
    ) -> u32,
}

/// Which versions a stream should have. All of it is borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct AspiredStream {
    /// What clients call the model: not empty, and without a slash. Streams that a source never names are not touched.
    pub name: Str,
    /// [`OK`](crate::OK); on anything else the source cannot tell, for the reason in `message`: what is loaded stays.
    pub code: u32,
    /// Why the source cannot tell.
    pub message: Str,
    /// The versions, no number twice.
    pub versions: *const AspiredVersion,
    /// How many there are, at most 65,536. None unloads all.
    pub version_count: usize,
}

/// A version that there should be.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct AspiredVersion {
    /// Its number, 0 or more.
    pub number: i64,
    /// Changes when the stored data do, and only then. A version that failed is tried again when it does; one that is
    /// loaded stays as it is.
    pub revision: u64,
    /// [`OK`](crate::OK); on anything else there is nothing to load it from, for the reason in `message`.
    pub code: u32,
    /// Where the version's files are: an absolute path; its bytes as the file system has them. Looked at where `code` is
    /// [`OK`](crate::OK).
    pub directory: Str,
    /// What is wrong with it.
    pub message: Str,
}

macro_rules! shared {
    ($($table:ident),*) => {$(
        // SAFETY: the table is not written to once it is handed out, and its functions may be called from any thread.
        unsafe impl Send for $table {}
        // SAFETY: as above.
        unsafe impl Sync for $table {}
    )*};
}

shared!(SourceV1, TargetV1);
