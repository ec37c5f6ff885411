//! The manager as its users see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{bounded, unbounded};
use salver_core_loader::Loader;
use salver_core_servable::{Handle, ServableId, StreamName, Version, VersionChoice};
use salver_core_status::{Quoted, Status};
use salver_manager_serving_map::LabelStatus;

use crate::driver::{self, Shared};
use crate::factory::LoaderFactory;
use crate::options::{Options, Stats};

/// Loads versions when they are first asked for, keeps them within a budget, and evicts those that are wanted least.
///
/// Thread-safe. However many ask for a version at a time, it is loaded once; versions are loaded independently of each
/// other, as far as there are load threads and room. Who needs room waits in the order of coming, until enough has been
/// unloaded; an evicted version is found by nobody from that moment, and goes when its last handle does.
///
/// What failed is not tried again for a while; whoever asks meanwhile gets the same error at once, with the time at which
/// it may be tried again.
///
/// Dropping it waits for the calls of the factory, the loads and the unloads that are under way, and not for handles.
pub struct CachingManager<F: LoaderFactory> {
    shared: Arc<Shared<F>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a handle of the manager leads to.
type Servable<F> = <<F as LoaderFactory>::Loader as Loader>::Servable;

/// A request that may still be waiting. Dropping it takes the request back: it is then not answered, unless it is being
/// answered at that moment.
#[must_use = "dropping it takes the request back"]
pub struct Ticket {
    leave: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl<F: LoaderFactory> CachingManager<F> {
    /// Starts a manager that has nothing loaded.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the operating system has no thread to give. Else whatever keeps the basic manager from starting.
    pub fn start(options: Options, factory: F) -> Result<Arc<Self>, Status> {
        let num_factory_threads = options.num_factory_threads.max(1);
        let (jobs, jobs_to_do) = unbounded();
        let (questions, questions_to_ask) = unbounded();
        let shared = Arc::new(Shared::new(options, factory, jobs, questions)?);

        // Made first, so that the threads that have started end when the next one does not.
        let mut manager = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        let mut spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name).spawn(work);
            let thread = thread.map_err(|error| {
                Status::resource_exhausted(format!("starting the manager's threads: {error}"))
            })?;
            manager.threads.push(thread);
            Ok::<_, Status>(())
        };
        for number in 0..num_factory_threads {
            let (shared, questions) = (Arc::clone(&shared), questions_to_ask.clone());
            let work = move || questions.iter().for_each(|question| driver::ask(&shared, question));
            spawn(format!("salver-factory-{number}"), Box::new(work))?;
        }
        let work = move || driver::run(&shared, &jobs_to_do);
        spawn("salver-caching".to_owned(), Box::new(work))?;
        Ok(Arc::new(manager))
    }

    /// A handle of a version that is loaded at this moment; `None`: it is not, and nothing is done about it.
    ///
    /// A look-up and a note of the use; wait-free on a hit.
    pub fn peek(&self, name: &str, version: VersionChoice<'_>) -> Option<Handle<Servable<F>>> {
        self.shared.peek(name, version)
    }

    /// A handle of a version, which is loaded if it is not. Blocks until then, or until the deadline.
    ///
    /// Not to be called in the answer of [`request`](Self::request), nor by the factory or a loader: it would wait for the
    /// thread it is on.
    ///
    /// # Errors
    /// - DEADLINE_EXCEEDED: it was not loaded in time. The load goes on.
    /// - INVALID_ARGUMENT: a label was asked for that leads to no version that is loaded: ask for its version.
    /// - RESOURCE_EXHAUSTED: it is larger than the budget, or than what pinned versions leave of it; or too many others
    ///   wait to be loaded.
    /// - UNAVAILABLE: the manager is shutting down.
    /// - Whatever the factory or the loader failed with, now or a while ago.
    pub fn get(
        &self,
        name: &str,
        version: VersionChoice<'_>,
        deadline: Instant,
    ) -> Result<Handle<Servable<F>>, Status> {
        if let Some(handle) = self.peek(name, version) {
            return Ok(handle);
        }
        let (sender, answer) = bounded(1);
        let ticket = self.request(name, version, move |outcome| {
            // Whoever waited may have given up.
            let _ = sender.send(outcome);
        });
        answer.recv_deadline(deadline).unwrap_or_else(|_| {
            drop(ticket);
            let late = || Status::deadline_exceeded(format!("{} was not loaded in time", Quoted(name)));
            answer.try_recv().unwrap_or_else(|_| Err(late()))
        })
    }

    /// Asks for a version, as [`get`](Self::get) does, and calls `done` with the handle or the error, once, unless the
    /// ticket is dropped before. Does not block.
    ///
    /// `done` is called before this returns, where the answer is known, or on a thread of the manager, which it must not
    /// hold up.
    pub fn request(
        &self,
        name: &str,
        version: VersionChoice<'_>,
        done: impl FnOnce(Result<Handle<Servable<F>>, Status>) + Send + 'static,
    ) -> Ticket {
        let version = match version {
            VersionChoice::Latest => None,
            VersionChoice::Specific(version) => Some(version),
            VersionChoice::Label(label) => {
                if let Some(handle) = self.peek(name, version) {
                    done(Ok(handle));
                    return Ticket { leave: None };
                }
                let (name, label) = (Quoted(name), Quoted(label));
                let message = format!(
                    "label {label} of {name} leads to no version that is loaded, wanted a version or none"
                );
                done(Err(Status::invalid_argument(message)));
                return Ticket { leave: None };
            }
        };
        if let Some(handle) = self.peek(name, version.map_or(VersionChoice::Latest, VersionChoice::Specific))
        {
            done(Ok(handle));
            return Ticket { leave: None };
        }
        let name = StreamName::from(name);
        let number = self.shared.request(&name, version, Box::new(done));
        let shared = Arc::downgrade(&self.shared);
        let leave = move || {
            if let Some(shared) = shared.upgrade() {
                shared.leave(&name, number);
            }
        };
        Ticket { leave: Some(Box::new(leave)) }
    }

    /// Loads a version that will be asked for, if it is not loaded. Does not block; if it fails, that is logged and
    /// remembered as any failure is.
    pub fn prefetch(&self, name: &str, version: VersionChoice<'_>) {
        let stream = name.to_owned();
        let ticket = self.request(name, version, move |outcome| {
            if let Err(error) = outcome {
                tracing::warn!(stream = %Quoted(&stream), %error, "prefetch failed");
            }
        });
        ticket.stay();
    }

    /// Keeps a version from being evicted from the moment it is loaded; does not load it. Pins are counted.
    pub fn pin(&self, id: ServableId) {
        self.shared.apply(|cache, now| cache.pin(id, now));
    }

    /// Takes one pin away. Returns whether there was one.
    pub fn unpin(&self, id: &ServableId) -> bool {
        let mut was_pinned = false;
        self.shared.apply(|cache, now| {
            let (unpinned, commands) = cache.unpin(id, now);
            was_pinned = unpinned;
            commands
        });
        was_pinned
    }

    /// Says that a stream has these versions from now on, and no others: for a factory that is told of changes. What failed
    /// before may be tried again at once. Does not block.
    ///
    /// Where something of the stream is loaded, the factory is asked for the latest version, which is loaded; then
    /// versions that are not in the set any more go, pinned or not. They go at once where `at_once` is set, and where the
    /// set is empty.
    pub fn offer(&self, name: &StreamName, versions: BTreeSet<Version>, at_once: bool) {
        self.shared.apply(|cache, now| cache.offer(name, versions, at_once, now));
    }

    /// Says which version each label of a stream stands for, in place of all labels it had: [`peek`](Self::peek) knows
    /// them, and that a label goes on standing for the version it stood for until the new one is loaded. Loads nothing.
    pub fn set_labels(&self, name: &StreamName, labels: BTreeMap<String, Version>) {
        self.shared.set_labels(name, labels);
    }

    /// What each label stands for.
    pub fn labels(&self, name: &str) -> BTreeMap<String, LabelStatus> {
        self.shared.labels(name)
    }

    /// Whether anything of a stream is loaded, or on its way.
    pub fn has(&self, name: &StreamName) -> bool {
        self.shared.has(name)
    }

    /// Every version that is loaded, ordered by name and version.
    pub fn available(&self) -> Vec<ServableId> {
        self.shared.serving().available()
    }

    /// What the manager has done, and what it holds.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Answers everybody who waits, unloads everything and takes in no more. Blocks until nothing is loaded, and returns
    /// true; or until the deadline, and returns false: a handle is still held, or a load or unload still runs.
    pub fn shut_down(&self, deadline: Instant) -> bool {
        self.shared.close();
        self.shared.basic().shut_down(deadline)
    }
}

impl Ticket {
    /// Lets the request wait for its answer whatever becomes of the ticket.
    pub fn stay(mut self) {
        self.leave = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            leave();
        }
    }
}

impl<F: LoaderFactory> Drop for CachingManager<F> {
    fn drop(&mut self) {
        self.shared.stop();
        let own = thread::current().id();
        // An answer, the factory or a loader may hold the manager and drop it on a thread that cannot wait for itself.
        if self.threads.iter().any(|thread| thread.thread().id() == own) {
            return;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("thread of the caching manager ended with a panic");
            }
        }
    }
}

impl<F: LoaderFactory> fmt::Debug for CachingManager<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachingManager").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("may_leave", &self.leave.is_some()).finish()
    }
}
