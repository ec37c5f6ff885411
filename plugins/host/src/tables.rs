//! The server's own tables, as plugins see them.

use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use salver_plugins_abi as abi;
use tracing::level_filters::LevelFilter;

use crate::{HostServices, Inspection, MetricKind, batching};

/// What the contexts of one plugin's tables point to.
struct Context {
    plugin: String,
    path: PathBuf,
    services: HostServices,
    batching: &'static abi::BatchingV1,
}

/// Makes the tables of the plugin. They live as long as the process, as the library does.
pub(crate) fn tables_for(plugin: &Inspection, services: &HostServices) -> &'static abi::HostV1 {
    let context: &'static Context = Box::leak(Box::new(Context {
        plugin: plugin.name.clone(),
        path: plugin.path.clone(),
        services: services.clone(),
        batching: batching::table_for(&plugin.name, &services.batcher),
    }));
    let path = context.path.as_os_str().as_bytes();
    let context_pointer: *const c_void = std::ptr::from_ref(context).cast();
    Box::leak(Box::new(abi::HostV1 {
        context: context_pointer,
        log: Box::leak(Box::new(abi::LogV1 { context: context_pointer, max_level, write })),
        metrics: Box::leak(Box::new(abi::MetricsV1 { context: context_pointer, make, record })),
        cpu: Box::leak(Box::new(abi::CpuV1 { context: context_pointer, threads })),
        plugin_path: abi::Str { data: path.as_ptr().cast(), size: path.len() },
        table,
    }))
}

/// # Safety
/// `pointer` is the context of a table that [`tables_for`] made.
unsafe fn context(pointer: *const c_void) -> &'static Context {
    // SAFETY: by the caller's promise this is the leaked context.
    unsafe { &*pointer.cast::<Context>() }
}

/// Does `body` for a plugin, into which nothing may unwind; `default` stands in for what panics.
fn contained<T>(default: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(default)
}

unsafe extern "C" fn table(pointer: *const c_void, name: abi::Str) -> *const c_void {
    // SAFETY: the plugin passes the table's context, and a text that is valid for the call.
    let (context, name) = unsafe { (context(pointer), name.bytes()) };
    match name {
        Ok(name) if name == abi::BATCHING_V1.as_bytes() => std::ptr::from_ref(context.batching).cast(),
        // The rest is in `HostV1` itself.
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn max_level(_context: *const c_void) -> u32 {
    match LevelFilter::current().into_level() {
        None => abi::LEVEL_OFF,
        Some(tracing::Level::ERROR) => abi::LEVEL_ERROR,
        Some(tracing::Level::WARN) => abi::LEVEL_WARN,
        Some(tracing::Level::INFO) => abi::LEVEL_INFO,
        Some(tracing::Level::DEBUG) => abi::LEVEL_DEBUG,
        Some(tracing::Level::TRACE) => abi::LEVEL_TRACE,
    }
}

unsafe extern "C" fn write(pointer: *const c_void, level: u32, target: abi::Str, message: abi::Str) {
    /// So that a filter can name what plugins say: `salver_plugin=debug`.
    const TARGET: &str = "salver_plugin";
    // SAFETY: the plugin passes the table's context, and texts that are valid for the call.
    let (plugin, module, message) =
        unsafe { (&context(pointer).plugin, target.to_text(), message.to_text()) };
    contained((), || match level {
        abi::LEVEL_ERROR => tracing::error!(target: TARGET, plugin, %module, "{message}"),
        abi::LEVEL_WARN => tracing::warn!(target: TARGET, plugin, %module, "{message}"),
        abi::LEVEL_INFO => tracing::info!(target: TARGET, plugin, %module, "{message}"),
        abi::LEVEL_DEBUG => tracing::debug!(target: TARGET, plugin, %module, "{message}"),
        abi::LEVEL_TRACE => tracing::trace!(target: TARGET, plugin, %module, "{message}"),
        _ => tracing::warn!(target: TARGET, plugin, %module, level, "{message}"),
    });
}

unsafe extern "C" fn make(pointer: *const c_void, kind: u32, name: abi::Str, help: abi::Str) -> u64 {
    // SAFETY: the plugin passes the table's context, and texts that are valid for the call.
    let (context, name, help) = unsafe { (context(pointer), name.to_text(), help.to_text()) };
    let kind = match kind {
        abi::METRIC_COUNTER => MetricKind::Counter,
        abi::METRIC_GAUGE => MetricKind::Gauge,
        abi::METRIC_HISTOGRAM => MetricKind::Histogram,
        _ => return 0,
    };
    contained(0, || context.services.metrics.register(&context.plugin, kind, &name, &help))
}

unsafe extern "C" fn record(pointer: *const c_void, id: u64, value: f64) {
    if id != 0 {
        // SAFETY: the plugin passes the table's context.
        let context = unsafe { context(pointer) };
        contained((), || context.services.metrics.record(id, value));
    }
}

unsafe extern "C" fn threads(pointer: *const c_void) -> u32 {
    // SAFETY: the plugin passes the table's context.
    u32::try_from(unsafe { context(pointer) }.services.cpu_threads).unwrap_or(u32::MAX).max(1)
}
