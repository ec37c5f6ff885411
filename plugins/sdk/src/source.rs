//! A kind of [`Source`] behind its table.

use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Source, Target};
use salver_core_platform::Options;
use salver_core_status::Status;
use salver_plugins_abi as abi;

use crate::context::options;
use crate::guard;
use crate::said::{check, sink};

/// Makes a source of these settings.
type Create = Box<dyn Fn(&Options) -> Result<Box<dyn Source<PathBuf> + Send>, Status> + Send + Sync>;

/// A kind of source: its name in the note, what it is, and what makes one.
#[doc(hidden)]
pub struct Declared {
    name: &'static str,
    description: &'static str,
    create: Create,
}

/// What `export_plugin!` makes of one of its `sources`.
#[doc(hidden)]
pub fn declare<S, F>(name: &'static str, description: &'static str, create: F) -> Declared
where
    S: Source<PathBuf> + Send + 'static,
    F: Fn(&Options) -> Result<S, Status> + Send + Sync + 'static,
{
    let create: Create = Box::new(move |options| Ok(Box::new(create(options)?)));
    Declared { name, description, create }
}

/// The tables of the sources, from `start` on. One for the library, as there is one plugin in it.
static SOURCES: OnceLock<Vec<abi::SourceV1>> = OnceLock::new();

/// The table of every plugin that has sources.
#[doc(hidden)]
pub const SOURCES_TABLE: abi::SourcesV1 = abi::SourcesV1 { count: Some(count), source: Some(source_at) };

/// Makes the tables of these sources. The first call counts.
pub(crate) fn set(declared: Vec<Declared>) {
    let table = |declared: Declared| {
        // Leaked, as the library is never unmapped.
        let declared: &'static Declared = Box::leak(Box::new(declared));
        abi::SourceV1 {
            context: std::ptr::from_ref(declared).cast(),
            name: abi::Str::new(declared.name),
            description: abi::Str::new(declared.description),
            create: Some(create),
            destroy: Some(destroy),
        }
    };
    let _ = SOURCES.set(declared.into_iter().map(table).collect());
}

unsafe extern "C" fn count() -> usize {
    SOURCES.get().map_or(0, Vec::len)
}

unsafe extern "C" fn source_at(index: usize) -> *const abi::SourceV1 {
    let table = SOURCES.get().and_then(|sources| sources.get(index));
    table.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// A source that runs. Dropping it ends it, and then its way to the server, which it may have shared with threads of its own.
struct Running {
    source: Option<Box<dyn Source<PathBuf> + Send>>,
    server: Arc<Server>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let source = self.source.take();
        if let Err(panic) = guard::catch(|| drop(source)) {
            tracing::error!(panic, "a source panicked when it was to end");
        }
        *self.server.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

unsafe extern "C" fn create(
    context: *const c_void,
    params: *const abi::Param,
    param_count: usize,
    target: *const abi::TargetV1,
    source: *mut *mut c_void,
    error: *const abi::ErrorSink,
) -> u32 {
    let body = || {
        // SAFETY: the server passes the table's context, which `set` leaked.
        let declared = unsafe { &*context.cast::<Declared>() };
        // SAFETY: the server passes settings that are valid for the call.
        let options = unsafe { options(params, param_count) }?;
        // SAFETY: the server passes a target, which lives as long as the process.
        let target: &'static abi::TargetV1 = unsafe { &*target };
        let made = (declared.create)(&options)?;
        let server = Arc::new(Server(RwLock::new(Some(target))));
        // Ended as any other where its start panics.
        let mut running = Box::new(Running { source: Some(made), server: Arc::clone(&server) });
        if let Some(source) = &mut running.source {
            source.connect(server as SharedTarget<PathBuf>);
        }
        // SAFETY: the server passes a place for the source.
        unsafe { source.write(Box::into_raw(running).cast()) };
        Ok(abi::OK)
    };
    // SAFETY: the server passes a sink for the call.
    unsafe { guard::report(error, body) }
}

unsafe extern "C" fn destroy(_context: *const c_void, source: *mut c_void) {
    // SAFETY: `create` made it, and the server destroys it once.
    let running = unsafe { Box::from_raw(source.cast::<Running>()) };
    if let Err(panic) = guard::catch(|| drop(running)) {
        tracing::error!(panic, "a source panicked when it was to end");
    }
}

/// The server, as a target; `None` once the source is ended.
struct Server(RwLock<Option<&'static abi::TargetV1>>);

impl Target<PathBuf> for Server {
    fn set_aspired(&self, aspired: AspiredVersions<PathBuf>) {
        // Who does not ask need not know; the server tells who reads its log.
        let _ = self.offer(aspired);
    }

    fn offer(&self, aspired: AspiredVersions<PathBuf>) -> Result<(), Status> {
        let lent = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let target = lent.ok_or_else(|| Status::cancelled("the source is ended"))?;
        let (versions, code, message) = match &aspired.versions {
            Ok(versions) => (versions.as_slice(), abi::OK, ""),
            Err(status) => (&[][..], status.code() as u32, status.message()),
        };
        let versions: Vec<abi::AspiredVersion> = versions.iter().map(describe).collect();
        let stream = abi::AspiredStream {
            name: abi::Str::new(aspired.stream.as_str()),
            code,
            message: abi::Str::new(message),
            versions: versions.as_ptr(),
            version_count: versions.len(),
        };
        let mut said = String::new();
        let sink = sink(&mut said);
        // SAFETY: all that is passed is alive for the call, and the source is not ended.
        let code = unsafe { (target.set_aspired)(target.context, &raw const stream, &raw const sink) };
        check(code, said)
    }
}

/// A version in the form of the tables; it points into `aspired`.
fn describe(aspired: &Aspired<PathBuf>) -> abi::AspiredVersion {
    let (code, directory, message) = match &aspired.data {
        Ok(directory) => (abi::OK, directory.as_os_str().as_bytes(), ""),
        Err(status) => (status.code() as u32, &b""[..], status.message()),
    };
    abi::AspiredVersion {
        number: aspired.version.number(),
        revision: aspired.revision,
        code,
        directory: abi::Str { data: directory.as_ptr().cast(), size: directory.len() },
        message: abi::Str::new(message),
    }
}
