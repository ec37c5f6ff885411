//! The process's one ONNX Runtime: its library, thread pool and log.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};

use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::logging::LogLevel;

use crate::library::{LibrarySearch, absolute};
use crate::threads::Spawner;
use crate::{Error, Said};

/// Opened by the first load, kept to the end of the process: ONNX Runtime cannot be opened twice.
static OPEN: Mutex<Option<Open>> = Mutex::new(None);

struct Open {
    library: PathBuf,
    environment: Environment,
}

/// Keeps ONNX Runtime from reporting to its makers, which its own builds from 1.29 on do otherwise. Before any thread
/// loads: it changes the process's environment.
///
/// `EnvironmentBuilder::with_telemetry(false)` comes too late: by then a file with an identifier is written below the
/// home directory, and a thread runs that connects to `mobile.events.data.microsoft.com`. Whoever has set the variable,
/// to whatever value, has decided for themselves.
#[expect(unsafe_code, reason = "changing the environment is unsafe where other threads read it")]
pub(crate) fn opt_out_of_telemetry() {
    const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os(VARIABLE).is_none() {
            // SAFETY: nothing else in the server changes the environment. A C function that reads it meanwhile, on a
            // thread that is there already, sees the old list or the new one: glibc makes a new list for the first
            // variable that a process adds, and leaves the old one as it is.
            unsafe { std::env::set_var(VARIABLE, "1") };
        }
    });
}

/// ONNX Runtime, opened where it is not. A failure is not kept: the next load tries again.
///
/// `threads` is the size of the shared pool, counting the thread that runs the model, and `spawner` starts them; both
/// matter to whoever opens.
pub(crate) fn open(
    search: &LibrarySearch,
    option: Option<&str>,
    threads: NonZeroUsize,
    spawner: &Spawner,
) -> Result<Environment, Error> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Open { library, environment }) = &*open {
        return match option.map(|wanted| absolute(Path::new(wanted))) {
            Some(wanted) if wanted != *library => Err(Error::OtherLibrary { open: library.clone(), wanted }),
            _ => Ok(environment.clone()),
        };
    }
    let library = search.find(option)?;
    let fail = |said: String| Error::Library { library: library.clone(), said };
    // Never the implicit path, which panics where the library is missing.
    let builder = ort::init_from(&library).map_err(|error| fail(error.to_string()))?;
    let build = || -> Result<Environment, ort::Error> {
        let pool = GlobalThreadPoolOptions::default()
            .with_intra_threads(threads.get())?
            .with_inter_threads(1)?
            .with_spin_control(false)?
            .with_thread_manager(spawner.clone())?;
        let environment = builder
            .with_name("salver")
            .with_telemetry(false)
            .with_global_thread_pool(pool)
            .with_logger(Arc::new(log));
        environment.build()
    };
    let environment = build().map_err(|error| fail(Said::from(error).to_string()))?;
    // It starts out with every message, and would format them all.
    environment.set_log_level(LogLevel::Warning);
    tracing::info!(library = %library.display(), threads, "opened ONNX Runtime");
    *open = Some(Open { library, environment: environment.clone() });
    Ok(environment)
}

/// ONNX Runtime's own log, passed on.
fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(category, location, "{message}"),
        LogLevel::Info => tracing::debug!(category, location, "{message}"),
        LogLevel::Warning => tracing::warn!(category, location, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(category, location, "{message}"),
    }
}
