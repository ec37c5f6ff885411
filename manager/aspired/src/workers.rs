//! The threads that load and unload. They call code that is not ours, and outlive its panics.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use salver_core_loader::{CancelFlag, LoadContext, Loader};
use salver_core_servable::ServableId;
use salver_core_status::Status;

use crate::driver::{Loaded, Message};

/// A version to load.
pub(crate) struct LoadJob<L> {
    pub(crate) id: ServableId,
    pub(crate) loader: L,
    pub(crate) cancel: CancelFlag,
}

/// A version to unload. Nobody else refers to its servable.
pub(crate) struct UnloadJob<L: Loader> {
    pub(crate) id: ServableId,
    pub(crate) loaded: Loaded<L>,
}

/// Called after each unload, on the thread that did it.
pub(crate) type AfterUnload = Arc<dyn Fn() + Send + Sync>;

/// Starts `count` threads (at least one) that do the jobs of one channel until it is closed.
pub(crate) fn spawn<J: Send + 'static>(
    name: &str,
    count: usize,
    jobs: &Receiver<J>,
    work: impl Fn(J) + Clone + Send + 'static,
) -> io::Result<Vec<JoinHandle<()>>> {
    let start = |number: usize| {
        let (jobs, work) = (jobs.clone(), work.clone());
        thread::Builder::new().name(format!("{name}-{number}")).spawn(move || jobs.iter().for_each(work))
    };
    (0..count.max(1)).map(start).collect()
}

/// Loads one version and sends word.
pub(crate) fn load<L: Loader>(job: LoadJob<L>, done: &Sender<Message<L>>) {
    let LoadJob { id, mut loader, cancel } = job;
    let outcome = catch_unwind(AssertUnwindSafe(|| loader.load(&LoadContext::new(&id, cancel.watch()))));
    let outcome = outcome.unwrap_or_else(|panic| Err(panicked("load", &id, &*panic)));
    let outcome = match outcome {
        Ok(servable) => Ok(Loaded { loader, servable: Arc::new(servable) }),
        Err(status) => {
            // What is left of the attempt is freed here, before the version counts as over.
            guarded("drop of the loader", &id, || drop(loader));
            Err(status)
        }
    };
    // The manager ends its threads before it ends.
    let _ = done.send(Message::LoadEnded(id, outcome));
}

/// Frees one version and sends word.
pub(crate) fn unload<L: Loader>(job: UnloadJob<L>, after: Option<&AfterUnload>, done: &Sender<Message<L>>) {
    let UnloadJob { id, loaded: Loaded { mut loader, servable } } = job;
    match Arc::into_inner(servable) {
        Some(servable) => guarded("unload", &id, || loader.unload(servable)),
        None => tracing::error!(%id, "version is still referred to after its last handle was dropped"),
    }
    guarded("drop of the loader", &id, || drop(loader));
    if let Some(after) = after {
        guarded("hook after unloading", &id, || after());
    }
    let _ = done.send(Message::UnloadEnded(id));
}

/// Calls code whose panic is logged and otherwise of no consequence.
fn guarded(what: &str, id: &ServableId, call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        tracing::error!(%id, error = %panicked(what, id, &*panic), "went on after a panic");
    }
}

fn panicked(what: &str, id: &ServableId, panic: &(dyn Any + Send)) -> Status {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    Status::internal(format!("{what} of {id} panicked: {text}"))
}
