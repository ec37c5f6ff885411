//! A manager with loaders that do as they are told, and a record of what happened.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use salver_core_loader::{Aspired, AspiredVersions, LoadContext, Loader, Target};
use salver_core_servable::{
    Handle, Lookup, LookupError, ServableId, ServableState, StateEvent, StateObserver, Version, VersionChoice,
};
use salver_core_status::Status;
use salver_manager_monitor::Monitor;

use crate::{AspiredManager, Options};

pub(super) fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

pub(super) fn id(name: &str, number: i64) -> ServableId {
    ServableId::new(name, version(number))
}

/// Long enough for anything that will happen at all.
pub(super) fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// What happened, in order: `load m:1`, `unload m:1`, `drop m:1`, with the thread's name.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<(String, String)>>>);

impl Journal {
    pub(super) fn write(&self, what: String) {
        self.0.lock().push((what, thread::current().name().unwrap_or_default().to_owned()));
    }

    /// How often something happened.
    pub(super) fn count(&self, what: &str) -> usize {
        self.0.lock().iter().filter(|(entry, _)| entry == what).count()
    }

    /// On which threads something happened.
    pub(super) fn threads(&self, what: &str) -> Vec<String> {
        self.0.lock().iter().filter(|(entry, _)| entry == what).map(|(_, thread)| thread.clone()).collect()
    }

    pub(super) fn entries(&self) -> Vec<String> {
        self.0.lock().iter().map(|(entry, _)| entry.clone()).collect()
    }
}

/// What a loader does when it is asked to load.
pub(super) enum Act {
    Load,
    Fail(Status),
    Panic,
    /// Loads, and panics as it unloads.
    PanicLater,
    /// Waits to be told how it went.
    Wait(Receiver<Result<(), Status>>),
    /// Waits for the wish that it give up, and loads all the same.
    AwaitCancel,
}

/// An act that waits, and the means to end the wait.
pub(super) fn gate() -> (Sender<Result<(), Status>>, Act) {
    let (open, wait) = bounded(1);
    (open, Act::Wait(wait))
}

pub(super) struct FakeLoader {
    act: Act,
    journal: Journal,
}

pub(super) struct Value {
    pub(super) id: ServableId,
    journal: Journal,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.journal.write(format!("drop {}", self.id));
    }
}

impl Loader for FakeLoader {
    type Servable = Value;

    fn load(&mut self, context: &LoadContext<'_>) -> Result<Value, Status> {
        let (id, cancel) = (context.id, context.cancel);
        self.journal.write(format!("load {id}"));
        match &self.act {
            Act::Load | Act::PanicLater => {}
            Act::Fail(status) => return Err(status.clone()),
            Act::Panic => panic!("out of luck"),
            Act::Wait(wait) => wait.recv().unwrap()?,
            Act::AwaitCancel => {
                while !cancel.is_cancelled() {
                    thread::yield_now();
                }
            }
        }
        Ok(Value { id: id.clone(), journal: self.journal.clone() })
    }

    fn unload(&mut self, servable: Value) {
        self.journal.write(format!("unload {}", servable.id));
        drop(servable);
        if matches!(self.act, Act::PanicLater) {
            panic!("out of luck, later");
        }
    }
}

/// Remembers states in a monitor, and all news in a row.
#[derive(Default)]
struct Recorder {
    monitor: Monitor,
    news: Mutex<Vec<StateEvent>>,
}

impl StateObserver for Recorder {
    fn observe(&self, event: StateEvent) {
        self.news.lock().push(event.clone());
        self.monitor.observe(event);
    }
}

pub(super) struct Fixture {
    pub(super) manager: Arc<AspiredManager<FakeLoader>>,
    pub(super) journal: Journal,
    recorder: Arc<Recorder>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(adjust: impl FnOnce(&mut Options)) -> Self {
        let recorder = Arc::new(Recorder::default());
        let mut options = Options::new(recorder.clone());
        adjust(&mut options);
        Self { manager: AspiredManager::start(options).unwrap(), journal: Journal::default(), recorder }
    }

    pub(super) fn one(&self, number: i64, act: Act) -> Aspired<FakeLoader> {
        let data = Ok(FakeLoader { act, journal: self.journal.clone() });
        Aspired { version: version(number), revision: 0, data }
    }

    /// Aspires versions of `name` that load as told.
    pub(super) fn aspire(&self, name: &str, versions: Vec<(i64, Act)>) {
        let versions = versions.into_iter().map(|(number, act)| self.one(number, act)).collect();
        self.set(name, Ok(versions));
    }

    /// Aspires versions of `name` that load without ado.
    pub(super) fn aspire_plain(&self, name: &str, numbers: &[i64]) {
        self.aspire(name, numbers.iter().map(|number| (*number, Act::Load)).collect());
    }

    pub(super) fn set(&self, name: &str, versions: Result<Vec<Aspired<FakeLoader>>, Status>) {
        self.manager.set_aspired(AspiredVersions { stream: name.into(), versions });
    }

    /// Waits until a version stands somewhere.
    pub(super) fn wait(&self, name: &str, number: i64, state: ServableState) {
        let id = id(name, number);
        let reached = self.recorder.monitor.wait_until(
            |states| {
                let versions =
                    states.stream(name).map(|stream| stream.versions.as_slice()).unwrap_or_default();
                versions.iter().any(|one| one.version == id.version && one.state == state)
            },
            far(),
        );
        assert!(reached, "{id} did not become {state:?}: {:?}", self.recorder.monitor.stream(name));
    }

    /// Waits until the manager has done all that follows from what it was told so far.
    pub(super) fn sync(&self) {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let name = format!("sync-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        // An error is reported without a load thread, and after everything before it was carried out.
        self.set(&name, Err(Status::unavailable("sync")));
        let reached = self.recorder.monitor.wait_until(|states| states.stream(&name).is_some(), far());
        assert!(reached);
    }

    pub(super) fn get(&self, name: &str, choice: VersionChoice<'_>) -> Result<Handle<Value>, LookupError> {
        self.manager.serving().get(name, choice)
    }

    /// The numbers of the versions of `name` that requests find.
    pub(super) fn serving(&self, name: &str) -> Vec<i64> {
        let ids = self.manager.serving().available();
        ids.iter().filter(|id| id.name.as_str() == name).map(|id| id.version.number()).collect()
    }

    /// The states that a version went through.
    pub(super) fn states(&self, name: &str, number: i64) -> Vec<(ServableState, Option<Status>)> {
        let wanted = id(name, number);
        let news = self.recorder.news.lock();
        let of_version = |event: &StateEvent| match event {
            StateEvent::Version { id, state, error, .. } if *id == wanted => Some((*state, error.clone())),
            StateEvent::Version { .. } | StateEvent::Progress { .. } | StateEvent::Stream { .. } => None,
        };
        news.iter().filter_map(of_version).collect()
    }

    /// The trouble reported of a stream.
    pub(super) fn troubles(&self, wanted: &str) -> Vec<Option<Status>> {
        let news = self.recorder.news.lock();
        let of_stream = |event: &StateEvent| match event {
            StateEvent::Stream { name, error } if name.as_str() == wanted => Some(error.clone()),
            StateEvent::Version { .. } | StateEvent::Progress { .. } | StateEvent::Stream { .. } => None,
        };
        news.iter().filter_map(of_stream).collect()
    }
}
