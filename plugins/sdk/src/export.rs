//! The plugin's own table.

use std::sync::OnceLock;

use salver_core_platform::Platform;
use salver_core_status::{Quoted, Status};
use salver_plugins_abi as abi;

use crate::{guard, host, log, platform, source};

/// What `export_plugin!` was given.
#[doc(hidden)]
pub trait Declaration: 'static {
    /// Makes the platforms, each with its name in the note.
    fn platforms() -> Vec<(&'static str, Box<dyn Platform>)>;

    /// The kinds of sources.
    fn sources() -> Vec<source::Declared>;
}

/// The platforms' tables, from `start` on. One for the library, as there is one plugin in it.
static PLATFORMS: OnceLock<Vec<abi::PlatformV1>> = OnceLock::new();

/// The table of the plugin that `D` declares.
#[doc(hidden)]
pub const fn plugin_table<D: Declaration>() -> abi::PluginV1 {
    abi::PluginV1 {
        start: Some(start::<D>),
        platform_count: Some(platform_count),
        platform: Some(platform_at),
    }
}

unsafe extern "C" fn start<D: Declaration>(tables: *const abi::HostV1, error: *const abi::ErrorSink) -> u32 {
    let body = || {
        // SAFETY: the server's tables live as long as the process.
        let tables: &'static abi::HostV1 = unsafe { &*tables };
        host::set(tables);
        // SAFETY: as above.
        log::forward_to(unsafe { &*tables.log });
        let platforms = D::platforms().into_iter().map(checked).collect::<Result<_, _>>()?;
        let once = PLATFORMS.set(platforms);
        once.map_err(|_| Status::failed_precondition("the plugin is started already"))?;
        source::set(D::sources());
        Ok(abi::OK)
    };
    // SAFETY: the server passes a sink for the call.
    unsafe { guard::report(error, body) }
}

fn checked((name, made): (&'static str, Box<dyn Platform>)) -> Result<abi::PlatformV1, Status> {
    if made.name() != name {
        let found = Quoted(made.name());
        return Err(Status::internal(format!("platform {} calls itself {found}", Quoted(name))));
    }
    Ok(platform::table(name, made))
}

unsafe extern "C" fn platform_count() -> usize {
    PLATFORMS.get().map_or(0, Vec::len)
}

/// The platform at `index`; `None` where there is none, or the plugin is not started.
pub(crate) fn platform(index: usize) -> Option<&'static dyn Platform> {
    let table = PLATFORMS.get()?.get(index)?;
    // SAFETY: `checked` made the table.
    Some(unsafe { platform::platform(table.context) })
}

unsafe extern "C" fn platform_at(index: usize) -> *const abi::PlatformV1 {
    let table = PLATFORMS.get().and_then(|platforms| platforms.get(index));
    table.map_or(std::ptr::null(), std::ptr::from_ref)
}
