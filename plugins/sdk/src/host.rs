//! What the server offers a plugin beside its requests.

use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use salver_plugins_abi::{HostV1, METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, Str};

/// Set once, when the server starts the plugin. Every plugin has its own.
static HOST: OnceLock<&'static HostV1> = OnceLock::new();

/// The server this plugin runs in. Cheap; callable from any thread.
///
/// Where no server started this code, as in a test of the platform alone, it answers for the machine.
pub fn host() -> Host {
    Host(HOST.get().copied())
}

/// The server, as this plugin sees it.
#[derive(Clone, Copy, Debug)]
pub struct Host(Option<&'static HostV1>);

impl Host {
    /// How many threads the pools of this plugin should have together; at least 1.
    pub fn cpu_threads(self) -> usize {
        let Some(host) = self.0 else {
            return std::thread::available_parallelism().map_or(1, usize::from);
        };
        // SAFETY: the tables of a host are never null and live as long as the process.
        let threads = unsafe { ((*host.cpu).threads)((*host.cpu).context) };
        usize::try_from(threads).unwrap_or(1).max(1)
    }

    /// The plugin's own file: libraries it needs lie near it. `None` outside a server.
    pub fn plugin_path(self) -> Option<&'static Path> {
        let host = self.0?;
        // SAFETY: the path lives as long as the process.
        let path = unsafe { host.plugin_path.bytes() }.ok()?;
        Some(Path::new(OsStr::from_bytes(path)))
    }

    /// A figure that only rises, the same for the same name: recording adds to it.
    pub fn counter(self, name: &str, help: &str) -> Metric {
        self.metric(METRIC_COUNTER, name, help)
    }

    /// A figure that rises and falls, the same for the same name: recording sets it.
    pub fn gauge(self, name: &str, help: &str) -> Metric {
        self.metric(METRIC_GAUGE, name, help)
    }

    /// A distribution, the same for the same name: recording adds an observation.
    pub fn histogram(self, name: &str, help: &str) -> Metric {
        self.metric(METRIC_HISTOGRAM, name, help)
    }

    fn metric(self, kind: u32, name: &str, help: &str) -> Metric {
        let Some(host) = self.0 else {
            return Metric { host: None, id: 0 };
        };
        // SAFETY: as for `cpu_threads`; the texts outlive the call.
        let id =
            unsafe { ((*host.metrics).make)((*host.metrics).context, kind, Str::new(name), Str::new(help)) };
        Metric { host: Some(host), id }
    }
}

/// A figure among the server's metrics; outside a server, and where the server does not take it, nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    host: Option<&'static HostV1>,
    id: u64,
}

impl Metric {
    /// Adds to a counter, sets a gauge, adds an observation to a histogram. Does not block.
    pub fn record(self, value: f64) {
        if let Some(host) = self.host {
            // SAFETY: the tables of a host are never null and live as long as the process.
            unsafe { ((*host.metrics).record)((*host.metrics).context, self.id, value) }
        }
    }
}

/// A table that came after [`HostV1`], by its name; null where the server has none of that name, and outside a server.
pub(crate) fn table(name: &str) -> *const c_void {
    // SAFETY: the tables of a host live as long as the process; the name outlives the call.
    HOST.get().map_or(std::ptr::null(), |host| unsafe { (host.table)(host.context, Str::new(name)) })
}

/// Makes `tables` what [`host`] answers with. The first call counts.
pub(crate) fn set(tables: &'static HostV1) {
    let _ = HOST.set(tables);
}
