//! A plugin's model, as any other; replaced when its code has panicked.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use salver_core_platform::{CancelFlag, Cancellation, Model, RunRequest};
use salver_core_resource::Allocation;
use salver_core_signature::SignatureSet;
use salver_core_status::Status;
use salver_core_tensor::Tensor;

use crate::instance::{Instance, Recipe};
use crate::rebuild::Backoff;
use crate::sink::Failure;

/// A loaded model. Dropping it unloads, once the last of its outputs is dropped; it waits for a load that is under
/// way to replace it.
#[derive(Debug)]
pub(crate) struct PluginModel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    recipe: Recipe,
    /// Those of the first instance; one that differs is not taken.
    signatures: SignatureSet,
    current: ArcSwap<Instance>,
    replacing: Mutex<Replacing>,
    /// Told when `is_closed` is set.
    closed: Condvar,
    /// Set with `is_closed`, so that a load that is under way gives up.
    cancel: CancelFlag,
}

#[derive(Debug, Default)]
struct Replacing {
    is_closed: bool,
    backoff: Backoff,
    threads: Vec<JoinHandle<()>>,
}

impl PluginModel {
    /// Loads a model.
    pub(crate) fn load(recipe: Recipe, cancel: Cancellation<'_>) -> Result<Self, Failure> {
        let instance = Instance::load(&recipe, cancel)?;
        Ok(Self {
            shared: Arc::new(Shared {
                signatures: instance.signatures().clone(),
                current: ArcSwap::new(instance),
                recipe,
                replacing: Mutex::default(),
                closed: Condvar::new(),
                cancel: CancelFlag::new(),
            }),
        })
    }
}

impl Model for PluginModel {
    fn signatures(&self) -> &SignatureSet {
        &self.shared.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let instance = self.shared.current.load();
        instance.run(request, || {
            if instance.mark_panicked() {
                replace(&self.shared, &instance);
            }
        })
    }

    fn resources(&self) -> Option<Allocation> {
        let instance = self.shared.current.load();
        instance.resources(&self.shared.recipe.id).unwrap_or_else(|Failure { status, is_panic }| {
            tracing::warn!(model = %self.shared.recipe.id, error = %status, "what a model takes is not known");
            if is_panic && instance.mark_panicked() {
                replace(&self.shared, &instance);
            }
            None
        })
    }
}

impl Drop for PluginModel {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
        let threads = {
            let mut replacing = self.shared.replacing.lock();
            replacing.is_closed = true;
            std::mem::take(&mut replacing.threads)
        };
        self.shared.closed.notify_all();
        for thread in threads {
            // One that panicked has nothing to say that the panic's own message did not.
            let _ = thread.join();
        }
    }
}

/// Starts to replace `instance`, which has panicked. It serves on meanwhile.
fn replace(shared: &Arc<Shared>, instance: &Instance) {
    let mut replacing = shared.replacing.lock();
    replacing.threads.retain(|thread| !thread.is_finished());
    let at = replacing.backoff.next(Instant::now());
    let thread = std::thread::Builder::new().name("model-rebuild".to_owned()).spawn({
        let shared = Arc::clone(shared);
        move || shared.load_anew(at)
    });
    match thread {
        Ok(thread) => replacing.threads.push(thread),
        Err(error) => {
            tracing::error!(model = %shared.recipe.id, %error, "no thread to load a model anew that panicked");
            // The next panic tries again.
            instance.unmark_panicked();
        }
    }
}

impl Shared {
    /// Loads the model at `at`, and again until it loads, and puts it in place of the old one.
    fn load_anew(&self, mut at: Instant) {
        let (plugin, model) = (&*self.recipe.table.plugin, &self.recipe.id);
        loop {
            if self.is_closed_by(at) {
                return;
            }
            match Instance::load(&self.recipe, self.cancel.watch()) {
                Ok(instance) if *instance.signatures() == self.signatures => {
                    let old = self.current.swap(instance);
                    tracing::warn!(plugin, %model, "a model that panicked was loaded anew");
                    self.outlast(old);
                    return;
                }
                Ok(_) => {
                    tracing::error!(plugin, %model, "a model that panicked has other signatures now: the old one stays");
                    return;
                }
                Err(Failure { status, .. }) => {
                    tracing::warn!(plugin, %model, error = %status, "a model that panicked does not load anew yet");
                }
            }
            at = self.replacing.lock().backoff.next(Instant::now());
        }
    }

    /// Keeps the old instance until its last run has returned and its last output is released, so that it is unloaded
    /// here, and not on a request's thread.
    fn outlast(&self, old: Arc<Instance>) {
        /// How often to look. Nothing tells; and a model is replaced only after a panic.
        const LOOK: Duration = Duration::from_millis(10);
        while Arc::strong_count(&old) > 1 && !self.is_closed_by(Instant::now() + LOOK) {}
    }

    /// Waits until `at`; `true` as soon as the model is dropped.
    fn is_closed_by(&self, at: Instant) -> bool {
        let mut replacing = self.replacing.lock();
        while !replacing.is_closed {
            if self.closed.wait_until(&mut replacing, at).timed_out() {
                break;
            }
        }
        replacing.is_closed
    }
}
