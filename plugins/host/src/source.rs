//! A plugin's sources, as any other: what they say is checked, and passed on while they are to be heard.

mod said;

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use salver_core_loader::{AspiredVersions, SharedTarget, Source};
use salver_core_platform::Options;
use salver_core_servable::StreamName;
use salver_core_status::{Quoted, Status};
use salver_plugins_abi as abi;

use crate::inputs::params;
use crate::sink::Said;

/// A kind of source that a plugin has. Clones share it.
#[derive(Clone, Debug)]
pub struct SourceKind(Arc<Kind>);

/// A [`abi::SourceV1`] whose functions are all there.
#[derive(Debug)]
struct Kind {
    plugin: Arc<str>,
    name: String,
    description: String,
    context: *const c_void,
    create: unsafe extern "C" fn(
        *const c_void,
        *const abi::Param,
        usize,
        *const abi::TargetV1,
        *mut *mut c_void,
        *const abi::ErrorSink,
    ) -> u32,
    destroy: unsafe extern "C" fn(*const c_void, *mut c_void),
}

// SAFETY: the contract allows every function of a source's table to be called from any thread, many at once.
unsafe impl Send for Kind {}
// SAFETY: as above.
unsafe impl Sync for Kind {}

impl SourceKind {
    /// The kind of source with this table; `None` where it lacks a function.
    ///
    /// # Safety
    /// The texts of the table are valid.
    pub(crate) unsafe fn new(plugin: &Arc<str>, name: &str, table: &abi::SourceV1) -> Option<Self> {
        let (create, destroy) = (table.create?, table.destroy?);
        // SAFETY: the caller's promise is this function's.
        let description = unsafe { table.description.to_text() }.into_owned();
        let (plugin, name, context) = (Arc::clone(plugin), name.to_owned(), table.context);
        Some(Self(Arc::new(Kind { plugin, name, description, context, create, destroy })))
    }

    /// What the command line calls it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is, in a sentence of its author's.
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// Makes a source and starts it, which may take a while. What it says before it is connected is kept until then.
    ///
    /// Versions that it names lie in the folders of its data.
    ///
    /// # Errors
    /// What the plugin says, such as INVALID_ARGUMENT for an option; INTERNAL where its code panicked.
    pub fn create(&self, options: &Options) -> Result<PluginSource, Status> {
        let Kind { plugin, name, context, create, .. } = &*self.0;
        // Leaked, so that a call that comes too late finds that it does.
        let hears: &'static Hears = Box::leak(Box::new(Hears {
            plugin: Arc::clone(plugin),
            source: name.clone(),
            state: Mutex::new(State::Early(BTreeMap::new())),
        }));
        let target: &'static abi::TargetV1 = Box::leak(Box::new(said::target(hears)));
        let mut source = PluginSource { kind: self.clone(), hears, made: None };
        let params = params(options);
        let (mut said, mut made) = (Said::default(), std::ptr::null_mut());
        let (place, error) = (&raw mut made, said.error_sink());
        // SAFETY: all that is passed is alive for the call, and the target as long as the process.
        let code = unsafe {
            create(
                *context,
                params.as_ptr(),
                params.len(),
                std::ptr::from_ref(target),
                place,
                &raw const error,
            )
        };
        if code != abi::OK {
            return Err(said.failure(plugin, code, format_args!("creating source {}", Quoted(name))).status);
        }
        source.made = Some(made);
        Ok(source)
    }
}

/// A source of a plugin's. Dropping it ends it, and blocks until the plugin has; from the begin of that on nothing that it
/// says is heard.
#[derive(Debug)]
pub struct PluginSource {
    kind: SourceKind,
    hears: &'static Hears,
    /// What the plugin made; `None` where it did not.
    made: Option<*mut c_void>,
}

// SAFETY: what the plugin made is only given back to it, for which the contract names no thread.
unsafe impl Send for PluginSource {}

impl Source<PathBuf> for PluginSource {
    fn connect(&mut self, target: SharedTarget<PathBuf>) {
        let mut state = self.hears.state.lock();
        if let State::Early(early) = &mut *state {
            for (_, aspired) in std::mem::take(early) {
                target.set_aspired(aspired);
            }
        }
        *state = State::Connected(target);
    }
}

impl Drop for PluginSource {
    fn drop(&mut self) {
        *self.hears.state.lock() = State::Ended;
        let Kind { context, destroy, .. } = &*self.kind.0;
        if let Some(made) = self.made {
            // SAFETY: `create` of the same table made it, and this is the one call.
            unsafe { destroy(*context, made) }
        }
    }
}

/// Who hears what a source says.
#[derive(Debug)]
struct Hears {
    plugin: Arc<str>,
    source: String,
    /// Held while anybody is told, so that nobody is once the source is ended.
    state: Mutex<State>,
}

enum State {
    /// Nobody yet: the last set of each stream.
    Early(BTreeMap<StreamName, AspiredVersions<PathBuf>>),
    Connected(SharedTarget<PathBuf>),
    Ended,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Early(_) => "Early",
            State::Connected(_) => "Connected",
            State::Ended => "Ended",
        })
    }
}

impl Hears {
    /// # Errors
    /// CANCELLED once the source is ended; those of [`Target::offer`](salver_core_loader::Target::offer).
    fn pass_on(&self, aspired: AspiredVersions<PathBuf>) -> Result<(), Status> {
        match &mut *self.state.lock() {
            State::Early(early) => {
                early.insert(aspired.stream.clone(), aspired);
                Ok(())
            }
            State::Connected(target) => target.offer(aspired),
            State::Ended => Err(Status::cancelled(format!("source {} is being ended", Quoted(&self.source)))),
        }
    }

    /// Tells in the log what a source must not say; it is told so, too.
    fn complain(&self, status: &Status) {
        tracing::error!(plugin = &*self.plugin, source = self.source, error = %status, "a source said what cannot be");
    }
}
