//! Queues that a plugin's models open for steps of theirs.
//!
//! The plugin knows queues and outputs by numbers, which are looked up: nothing that it says is taken for a pointer to anything
//! of the server's.

mod kept;
mod request;

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use salver_core_platform::{BatchQueue, Batcher, Model, RunRequest, StepRequest};
use salver_core_signature::SignatureSet;
use salver_core_status::{Code, Quoted, Status};
use salver_core_tensor::Tensor;
use salver_plugins_abi as abi;

use crate::instance::{Instance, Shown};
use crate::sink::Failure;
use kept::Kept;
use request::Asked;

/// The queues of one plugin, and what it was given of their outputs.
struct Queues {
    plugin: Arc<str>,
    batcher: Arc<dyn Batcher>,
    open: Mutex<HashMap<u64, Arc<Open>>>,
    handed_out: Mutex<HashMap<u64, Arc<Kept>>>,
    /// The number of the next queue, or of the next outputs.
    next: AtomicU64,
}

/// A queue that is open.
struct Open {
    /// Lent for a run, and taken when the queue is closed.
    queue: RwLock<Option<Box<dyn BatchQueue>>>,
    step: Arc<Instance>,
}

/// A plugin's step, as any other model.
struct Step(Arc<Instance>);

impl Model for Step {
    fn signatures(&self) -> &SignatureSet {
        self.0.signatures()
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        self.0.run(request, || {
            self.0.mark_panicked();
        })
    }
}

/// Makes the table of a plugin. It lives as long as the process, as the library does.
pub(crate) fn table_for(plugin: &str, batcher: &Arc<dyn Batcher>) -> &'static abi::BatchingV1 {
    let queues: &'static Queues = Box::leak(Box::new(Queues {
        plugin: plugin.into(),
        batcher: Arc::clone(batcher),
        open: Mutex::default(),
        handed_out: Mutex::default(),
        next: AtomicU64::new(1),
    }));
    let context = std::ptr::from_ref(queues).cast();
    Box::leak(Box::new(abi::BatchingV1 { context, open, run, release, close }))
}

impl Queues {
    /// Opens a queue, and returns its number.
    ///
    /// # Safety
    /// What `step` points to, where pointers and sizes can be right, is valid during the call; what is to be run is handed
    /// over here, and nowhere else.
    unsafe fn open(&self, step: *const abi::StepV1) -> Result<u64, Failure> {
        // SAFETY: the caller's promise is this function's.
        let table = unsafe { request::one(step, "the step") }.map_err(|what| self.wrong(&what))?;
        // SAFETY: as above.
        let described = unsafe { request::step(table) };
        let subject = match &described {
            Ok((model, name, _)) => format!("step {} of model {}", Quoted(name), Shown(model)),
            // It is taken over even so, to be unloaded.
            Err(_) => "a step".to_owned(),
        };
        // SAFETY: as above.
        let taken = unsafe { Instance::take(&self.plugin, subject, table.step, None, None) };
        let (model, name, options) = described.map_err(|what| self.wrong(&what))?;
        let step = Arc::new(taken?);
        let queue = self.batcher.open(&model, &name, Arc::new(Step(Arc::clone(&step))), &options)?;
        let number = self.number();
        self.open.lock().insert(number, Arc::new(Open { queue: RwLock::new(Some(queue)), step }));
        Ok(number)
    }

    /// Runs a step, and returns what the plugin is told of the outputs.
    ///
    /// # Safety
    /// What `request` points to, where pointers and sizes can be right, is valid during the call.
    unsafe fn run(&self, queue: u64, request: *const abi::RunRequest) -> Result<abi::Outputs, Failure> {
        let closed = || self.wrong(&format!("asked for a step of queue {queue}, which is not open"));
        let open = self.open.lock().get(&queue).cloned().ok_or_else(closed)?;
        // SAFETY: the caller's promise is this function's.
        let table = unsafe { request::one(request, "the request") }.map_err(|what| self.wrong(&what))?;
        // SAFETY: as above.
        let asked = unsafe { Asked::read(table, open.step.signatures()) };
        let Asked { signature, inputs, outputs, context } = asked.map_err(|what| {
            let subject = open.step.subject();
            Status::invalid_argument(format!("plugin {}, asking for {subject}, {what}", Quoted(&self.plugin)))
        })?;
        // Recursively: a step that asks for a step does it while its own run lends the queue.
        let lent = open.queue.read_recursive();
        let lent = lent.as_ref().ok_or_else(closed)?;
        let context = context.lend();
        match lent.run(StepRequest { signature, inputs, outputs: &outputs, context }) {
            Ok(tensors) => Ok(self.hand_out(tensors)),
            Err(status) => {
                let is_panic = status.code() == Code::Internal && open.step.has_panicked();
                Err(Failure { status, is_panic })
            }
        }
    }

    fn hand_out(&self, tensors: Vec<Tensor>) -> abi::Outputs {
        if tensors.is_empty() {
            return abi::Outputs { tensors: std::ptr::null(), count: 0, owner: std::ptr::null_mut() };
        }
        let kept = Kept::new(tensors);
        let (tables, number) = (kept.tables(), self.number());
        // Where the address space ends before the numbers do, they have not got there yet.
        let owner = std::ptr::without_provenance_mut(number as usize);
        let outputs = abi::Outputs { tensors: tables.as_ptr(), count: tables.len(), owner };
        self.handed_out.lock().insert(number, kept);
        outputs
    }

    fn release(&self, owner: *mut c_void) {
        let kept = self.handed_out.lock().remove(&(owner.addr() as u64));
        if kept.is_none() && !owner.is_null() {
            tracing::error!(
                plugin = &*self.plugin,
                ?owner,
                "a plugin released outputs that it does not have"
            );
        }
    }

    fn close(&self, queue: u64) {
        let Some(open) = self.open.lock().remove(&queue) else {
            tracing::error!(plugin = &*self.plugin, queue, "a plugin closed a queue that is not open");
            return;
        };
        // Waits for the runs that it is lent to.
        let taken = open.queue.write().take();
        drop(taken);
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn wrong(&self, what: &str) -> Status {
        Status::invalid_argument(format!("plugin {} {what}", Quoted(&self.plugin)))
    }
}

/// # Safety
/// `pointer` is the context of a table that [`table_for`] made.
unsafe fn queues(pointer: *const c_void) -> &'static Queues {
    // SAFETY: by the caller's promise these are the leaked queues.
    unsafe { &*pointer.cast::<Queues>() }
}

/// Does `body` for a plugin, into which nothing may unwind, puts what comes out of it into `place`, and tells why it fails.
///
/// # Safety
/// `place` and `error`, where they can be right, are a place for what comes out, and a sink that may be called.
unsafe fn answer<T>(
    place: *mut T,
    error: *const abi::ErrorSink,
    body: impl FnOnce() -> Result<T, Failure>,
) -> u32 {
    let failure = if place.is_null() || !place.is_aligned() {
        Status::invalid_argument("the place for what comes out is null or misaligned").into()
    } else {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(value)) => {
                // SAFETY: a place, by the caller's promise: not null and aligned, as just checked.
                unsafe { place.write(value) };
                return abi::OK;
            }
            Ok(Err(failure)) => failure,
            Err(panic) => {
                // Let it not panic a second time.
                std::mem::forget(panic);
                Status::internal("the server panicked").into()
            }
        }
    };
    let Failure { status, is_panic } = failure;
    let code = if is_panic { abi::PANICKED } else { status.code() as u32 };
    // SAFETY: the caller's promise is this function's.
    if let Ok(sink) = unsafe { request::one(error, "the sink") } {
        // SAFETY: as above; the message outlives the call.
        unsafe { (sink.fail)(sink.context, code, abi::Str::new(status.message())) };
    }
    code
}

unsafe extern "C" fn open(
    context: *const c_void,
    step: *const abi::StepV1,
    queue: *mut u64,
    error: *const abi::ErrorSink,
) -> u32 {
    // SAFETY: the plugin passes the table's context, a step, a place and a sink, which are valid for the call.
    unsafe { answer(queue, error, || queues(context).open(step)) }
}

unsafe extern "C" fn run(
    context: *const c_void,
    queue: u64,
    request: *const abi::RunRequest,
    out: *mut abi::Outputs,
    error: *const abi::ErrorSink,
) -> u32 {
    // SAFETY: the plugin passes the table's context, a request, a place and a sink, which are valid for the call.
    unsafe { answer(out, error, || queues(context).run(queue, request)) }
}

unsafe extern "C" fn release(context: *const c_void, owner: *mut c_void) {
    // SAFETY: the plugin passes the table's context.
    contained("releasing outputs of a step", || unsafe { queues(context) }.release(owner));
}

unsafe extern "C" fn close(context: *const c_void, queue: u64) {
    // SAFETY: the plugin passes the table's context.
    contained("closing the queue of a step", || unsafe { queues(context) }.close(queue));
}

fn contained(doing: &str, body: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        tracing::error!("{doing} panicked");
        std::mem::forget(panic);
    }
}
