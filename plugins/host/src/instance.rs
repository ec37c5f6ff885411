//! One load of a model: what a plugin made, until it is unloaded.

use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use salver_core_platform::{Cancellation, LoadRequest, Options, RunRequest};
use salver_core_resource::Allocation;
use salver_core_servable::ServableId;
use salver_core_signature::SignatureSet;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::Tensor;
use salver_plugins_abi as abi;

use crate::details::Details;
use crate::inputs::{Described, load_request, params};
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::platform::Table;
use crate::sink::{Failure, Said};
use crate::{outputs, signatures};

/// What it takes to load a model, and to load it again.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) table: Table,
    pub(crate) id: ServableId,
    pub(crate) directory: PathBuf,
    pub(crate) options: Options,
}

/// One load of a model, or a step of one. Dropping it unloads.
#[derive(Debug)]
pub(crate) struct Instance {
    /// For messages.
    plugin: Arc<str>,
    /// What it is, in a message.
    subject: String,
    model: *mut c_void,
    functions: Functions,
    /// Where the plugin says what its models take.
    memory: Option<Memory>,
    signatures: SignatureSet,
    ledger: Ledger,
    has_panicked: AtomicBool,
}

/// The functions of a [`abi::ModelV1`], all there.
#[derive(Clone, Copy, Debug)]
struct Functions {
    run: unsafe extern "C" fn(
        *mut c_void,
        *const abi::RunRequest,
        *mut abi::Outputs,
        *const abi::ErrorSink,
    ) -> u32,
    release: unsafe extern "C" fn(*mut c_void, *mut c_void),
    unload: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: the contract allows every function of a model's table to be called from any thread, many at once.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: runs borrow the instance and outputs own a part of it, so all of them are over; this is the one call.
        unsafe { (self.functions.unload)(self.model) }
    }
}

impl Instance {
    /// Loads a model. May take minutes.
    pub(crate) fn load(recipe: &Recipe, cancel: Cancellation<'_>) -> Result<Arc<Self>, Failure> {
        let Recipe { table, id, directory, options } = recipe;
        let tables = params(options);
        let batcher = salver_core_platform::unbatched();
        let request = load_request(&LoadRequest { id, directory, options, cancel, batcher }, &tables);
        let mut loaded = abi::LoadedModel { model: std::ptr::null_mut(), table: std::ptr::null() };
        let mut said = Said::default();
        let sink = said.error_sink();
        // SAFETY: all that is passed is alive for the call, and the context is the table's own.
        let code =
            unsafe { (table.load)(table.context, &raw const request, &raw mut loaded, &raw const sink) };
        let subject = format!("model {}", Shown(id));
        if code != abi::OK {
            return Err(said.failure(&table.plugin, code, format_args!("loading {subject}")));
        }
        // SAFETY: the load succeeded, and nobody has seen what it made.
        Ok(Arc::new(unsafe { Self::take(&table.plugin, subject, loaded, table.memory, table.details) }?))
    }

    /// Takes over what the plugin made, which is unloaded where it is not whole.
    ///
    /// # Safety
    /// The plugin hands `made` over here, and nowhere else.
    pub(crate) unsafe fn take(
        plugin: &Arc<str>,
        subject: String,
        made: abi::LoadedModel,
        memory: Option<Memory>,
        details: Option<Details>,
    ) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            let plugin = Quoted(plugin);
            Failure::from(Status::internal(format!("plugin {plugin} loaded {subject} wrongly: {what}")))
        };
        // SAFETY: a plugin that returns a pointer that can be right promises that it leads to a table.
        let table = unsafe { abi::array(made.table, 1) }.ok().and_then(<[_]>::first);
        let table = table.ok_or_else(|| wrong("its table is null or misaligned"))?;
        let Some(unload) = table.unload else {
            return Err(wrong("its table lacks `unload`"));
        };
        let unload_and = |what: &str| {
            // SAFETY: it is the caller's, by the caller's promise, and nobody has seen it.
            unsafe { unload(made.model) };
            wrong(what)
        };
        let (Some(run), Some(release)) = (table.run, table.release) else {
            return Err(unload_and("its table lacks `run` or `release`"));
        };
        let Some(signatures) = table.signatures else {
            return Err(unload_and("its table lacks `signatures`"));
        };
        // SAFETY: it is there; the plugin promises valid signatures until it is unloaded.
        let signatures =
            unsafe { signatures::read(signatures(made.model)) }.map_err(|what| unload_and(&what))?;
        // SAFETY: the model is loaded, with these signatures, and stays so.
        let detailed = |details: Details| unsafe { details.add(made.model, &signatures) };
        let detailed = details.map(detailed).transpose().map_err(|what| unload_and(&what))?;
        Ok(Self {
            plugin: Arc::clone(plugin),
            subject,
            model: made.model,
            functions: Functions { run, release, unload },
            memory,
            signatures: detailed.unwrap_or(signatures),
            ledger: Ledger::default(),
            has_panicked: AtomicBool::new(false),
        })
    }

    pub(crate) fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    /// What it is, in a message: ``model `m:1` ``.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// What the model takes, which is `id`; `None` where the plugin does not tell.
    pub(crate) fn resources(&self, id: &ServableId) -> Result<Option<Allocation>, Failure> {
        // SAFETY: the model is loaded, until the instance is dropped.
        let told = |memory: Memory| unsafe { memory.resources(&self.plugin, id, self.model) };
        self.memory.map_or(Ok(None), told)
    }

    /// Runs the model, and checks what it returns. Calls `on_panic` where the plugin's code panicked.
    pub(crate) fn run(
        self: &Arc<Self>,
        request: &RunRequest<'_>,
        on_panic: impl FnOnce(),
    ) -> Result<Vec<Tensor>, Status> {
        let subject = &self.subject;
        let Some(signature) = self.signatures.as_slice().get(request.signature) else {
            let position = request.signature;
            return Err(Status::internal(format!(
                "signature {position} was asked for, {subject} has none there"
            )));
        };
        let mut described = Described::default();
        described.fill(signature, request)?;
        let table = described.table(request);
        let mut out = abi::Outputs { tensors: std::ptr::null(), count: 0, owner: std::ptr::null_mut() };
        let mut said = Said::default();
        let sink = said.error_sink();
        // SAFETY: the model is loaded, and all that is passed is alive for the call.
        let code =
            unsafe { (self.functions.run)(self.model, &raw const table, &raw mut out, &raw const sink) };
        if code != abi::OK {
            let failure = said.failure(&self.plugin, code, format_args!("running {subject}"));
            if failure.is_panic {
                on_panic();
            }
            return Err(failure.status);
        }
        if request.outputs.is_empty() && out.count == 0 && out.owner.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the run succeeded, and this is the first look at what it returned.
        unsafe { outputs::take(self, out, signature, request.outputs) }.map_err(|what| {
            let plugin = Quoted(&self.plugin);
            Status::internal(format!("plugin {plugin}, running {subject}, {what}"))
        })
    }

    /// Notes that the plugin's code panicked in this instance; `true` for the first time.
    pub(crate) fn mark_panicked(&self) -> bool {
        !self.has_panicked.swap(true, Ordering::AcqRel)
    }

    /// Whether the plugin's code ever panicked in this instance.
    pub(crate) fn has_panicked(&self) -> bool {
        self.has_panicked.load(Ordering::Acquire)
    }

    /// Forgets [`Instance::mark_panicked`].
    pub(crate) fn unmark_panicked(&self) {
        self.has_panicked.store(false, Ordering::Release);
    }

    /// Notes that `owner` is handed out; `false` where it already is. Null stands for no owner.
    #[must_use]
    pub(crate) fn hand_out(&self, owner: *mut c_void) -> bool {
        owner.is_null() || self.ledger.hand_out(owner)
    }

    /// Gives back what was handed out.
    pub(crate) fn release(&self, owner: *mut c_void) {
        if !owner.is_null() {
            // First: once it is released, the plugin may hand out the same owner to another run.
            self.ledger.take_back(owner);
            // SAFETY: `hand_out` saw the owner, `take_back` made sure that nobody else does this.
            unsafe { (self.functions.release)(self.model, owner) }
        }
    }
}

/// A model in a message.
pub(crate) struct Shown<'a>(pub(crate) &'a ServableId);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", Quoted(&self.0.to_string()))
    }
}
