//! What load and unload threads do. They call code that is not ours, and outlive its panics.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::Sender;
use salver_core_loader::{CancelFlag, LoadContext, Loader};
use salver_core_resource::Allocation;
use salver_core_servable::{ServableId, StateEvent, StateObserver};
use salver_core_status::Status;

use crate::command::Outcome;
use crate::driver::Message;
use crate::{Hook, LoadHook};

/// What a load thread is to do.
pub(crate) enum LoadJob<L> {
    Estimate { id: ServableId, loader: L },
    Load { id: ServableId, loader: L, cancel: CancelFlag },
}

/// What an unload thread is to do.
pub(crate) enum UnloadJob<L: Loader> {
    /// Nobody else refers to the servable.
    Unload { id: ServableId, loaded: Loaded<L> },
    /// A loader that was tried and is of no more use.
    Discard(L),
}

/// A version that is loaded, and the reference that makes the manager the one who frees it.
pub(crate) struct Loaded<L: Loader> {
    pub(crate) loader: L,
    pub(crate) servable: Arc<L::Servable>,
}

/// Works on load threads.
pub(crate) struct LoadWorker<L: Loader> {
    pub(crate) observer: Arc<dyn StateObserver>,
    pub(crate) before_load: Option<LoadHook>,
    pub(crate) after_load: Option<LoadHook>,
    pub(crate) done: Sender<Message<L>>,
}

/// Works on unload threads.
pub(crate) struct UnloadWorker<L: Loader> {
    pub(crate) after_unload: Option<Hook>,
    pub(crate) done: Sender<Message<L>>,
}

impl<L: Loader> LoadWorker<L> {
    /// Does one job and sends word.
    pub(crate) fn work(&self, job: LoadJob<L>) {
        let message = match job {
            LoadJob::Estimate { id, mut loader } => {
                let estimate = attempt("estimate", &id, || loader.estimate(&id));
                Message::Outcome(Outcome::Estimated(id, loader, estimate))
            }
            LoadJob::Load { id, loader, cancel } => self.load(id, loader, &cancel),
        };
        // The manager's thread ends after this one.
        let _ = self.done.send(message);
    }

    fn load(&self, id: ServableId, mut loader: L, cancel: &CancelFlag) -> Message<L> {
        if let Some(before_load) = &self.before_load {
            guarded("hook before loading", || before_load(&id));
        }
        let tell = |progress| {
            let event = StateEvent::Progress { id: id.clone(), progress };
            guarded("observer of a load", || self.observer.observe(event));
        };
        let context = LoadContext::watched(&id, cancel.watch(), &tell);
        let outcome = attempt("load", &id, || loader.load(&context));
        context.finish();
        let measured = outcome.as_ref().ok().and_then(|servable| measure(&id, &loader, servable));
        if let Some(after_load) = &self.after_load {
            guarded("hook after loading", || after_load(&id));
        }
        match outcome {
            Ok(servable) => Message::Loaded(id, Loaded { loader, servable: Arc::new(servable) }, measured),
            Err(status) => Message::Outcome(Outcome::NotLoaded(id, loader, status)),
        }
    }
}

fn measure<L: Loader>(id: &ServableId, loader: &L, servable: &L::Servable) -> Option<Allocation> {
    match attempt("measurement", id, || Ok(loader.measure(servable))) {
        Ok(measured) => measured,
        Err(error) => {
            tracing::error!(%id, %error, "what a version takes is not known, the estimate stands");
            None
        }
    }
}

impl<L: Loader> UnloadWorker<L> {
    /// Does one job and sends word.
    pub(crate) fn work(&self, job: UnloadJob<L>) {
        let (id, loaded) = match job {
            UnloadJob::Unload { id, loaded } => (id, loaded),
            UnloadJob::Discard(loader) => return guarded("drop of a loader", || drop(loader)),
        };
        let Loaded { mut loader, servable } = loaded;
        match Arc::into_inner(servable) {
            Some(servable) => guarded("unload", || loader.unload(servable)),
            None => tracing::error!(%id, "version is still referred to after its last handle was dropped"),
        }
        guarded("drop of a loader", || drop(loader));
        if let Some(after_unload) = &self.after_unload {
            guarded("hook after unloading", || after_unload());
        }
        let _ = self.done.send(Message::Outcome(Outcome::Unloaded(id)));
    }
}

/// Calls a loader, whose panic is a failure.
fn attempt<R>(what: &str, id: &ServableId, call: impl FnOnce() -> Result<R, Status>) -> Result<R, Status> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let status = Status::internal(format!("{what} of {id} panicked: {}", text_of(&*panic)));
        // Not ours either: let it not panic a second time.
        mem::forget(panic);
        Err(status)
    })
}

/// Calls code whose panic is logged and otherwise of no consequence.
pub(crate) fn guarded(what: &str, call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        tracing::error!(what, error = text_of(&*panic), "went on after a panic");
        mem::forget(panic);
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
