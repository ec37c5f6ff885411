//! Loaders that do as they are told, and a record of what happened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use salver_core_loader::{LoadContext, Loader};
use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::{LoadProgress, ServableId, ServableState, StateEvent, StateObserver, Version};
use salver_core_status::Status;
use salver_manager_monitor::Monitor;

/// {load, unload} threads to run tests with.
pub(super) const POOLS: [(usize, usize); 4] = [(1, 1), (2, 1), (1, 2), (4, 4)];

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

/// Looks until something is so: where no event says it.
pub(super) fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = far();
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came");
        thread::yield_now();
    }
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

pub(super) fn not_now() -> Status {
    Status::unavailable("not now")
}

pub(super) fn lost() -> Status {
    Status::data_loss("lost")
}

/// Of a loader's acts and estimates the first is for the first attempt, and the last for all that follow it.
pub(super) struct FakeLoader {
    acts: VecDeque<Act>,
    estimates: VecDeque<Result<Estimate, Status>>,
    measured: Option<u64>,
    journal: Journal,
}

pub(super) struct Value {
    pub(super) id: ServableId,
    journal: Journal,
}

impl FakeLoader {
    pub(super) fn new(journal: &Journal, acts: impl IntoIterator<Item = Act>) -> Self {
        let (acts, estimates) = (acts.into_iter().collect(), VecDeque::new());
        Self { acts, estimates, measured: None, journal: journal.clone() }
    }

    /// With so many bytes while it is being loaded, and from then on.
    pub(super) fn taking(self, loading: u64, loaded: u64) -> Self {
        let estimate =
            Estimate { loading: Allocation::ram_bytes(loading), loaded: Allocation::ram_bytes(loaded) };
        self.estimating([Ok(estimate)])
    }

    pub(super) fn estimating(
        mut self,
        estimates: impl IntoIterator<Item = Result<Estimate, Status>>,
    ) -> Self {
        self.estimates = estimates.into_iter().collect();
        self
    }

    pub(super) fn measuring(mut self, measured: u64) -> Self {
        self.measured = Some(measured);
        self
    }

    fn panics_later(&self) -> bool {
        matches!(self.acts.front(), Some(Act::PanicLater))
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.journal.write(format!("drop {}", self.id));
    }
}

impl Loader for FakeLoader {
    type Servable = Value;

    fn estimate(&mut self, id: &ServableId) -> Result<Estimate, Status> {
        if self.estimates.is_empty() {
            return Ok(Estimate::default());
        }
        self.journal.write(format!("estimate {id}"));
        let next = if self.estimates.len() > 1 { self.estimates.pop_front() } else { None };
        next.unwrap_or_else(|| self.estimates[0].clone())
    }

    fn load(&mut self, context: &LoadContext<'_>) -> Result<Value, Status> {
        let (id, cancel) = (context.id, context.cancel);
        self.journal.write(format!("load {id}"));
        let next = if self.acts.len() > 1 { self.acts.pop_front() } else { None };
        match next.as_ref().unwrap_or_else(|| &self.acts[0]) {
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

    fn measure(&self, servable: &Value) -> Option<Allocation> {
        let measured = self.measured?;
        self.journal.write(format!("measure {}", servable.id));
        Some(Allocation::ram_bytes(measured))
    }

    fn unload(&mut self, servable: Value) {
        self.journal.write(format!("unload {}", servable.id));
        drop(servable);
        if self.panics_later() {
            panic!("out of luck, later");
        }
    }
}

/// Remembers states in a monitor, and all news in a row.
#[derive(Default)]
pub(super) struct Recorder {
    monitor: Monitor,
    news: Mutex<Vec<StateEvent>>,
}

impl StateObserver for Recorder {
    fn observe(&self, event: StateEvent) {
        self.news.lock().push(event.clone());
        self.monitor.observe(event);
    }
}

impl Recorder {
    /// Waits until a version stands somewhere.
    pub(super) fn wait(&self, name: &str, number: i64, state: ServableState) {
        let id = id(name, number);
        let reached = self.monitor().wait_until(
            |states| {
                let known = states.stream(name).and_then(|stream| stream.version(id.version));
                known.is_some_and(|known| known.state == state)
            },
            far(),
        );
        assert!(reached, "{id} did not become {state:?}: {:?}", self.monitor.stream(name));
    }

    /// Waits until an attempt to load a version has failed.
    pub(super) fn wait_for_retry(&self, name: &str, number: i64) {
        let id = id(name, number);
        let reached = self.monitor().wait_until(
            |states| {
                let known = states.stream(name).and_then(|stream| stream.version(id.version));
                known.is_some_and(|known| known.state == ServableState::Loading && known.error.is_some())
            },
            far(),
        );
        assert!(reached, "{id} did not fail: {:?}", self.monitor.stream(name));
    }

    pub(super) fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// The states that a version went through.
    pub(super) fn states(&self, name: &str, number: i64) -> Vec<(ServableState, Option<Status>)> {
        let wanted = id(name, number);
        let of_version = |event| match event {
            StateEvent::Version { id, state, error, .. } if id == wanted => Some((state, error)),
            _ => None,
        };
        self.news().into_iter().filter_map(of_version).collect()
    }

    /// How far a version was said to be, and where it stood then.
    pub(super) fn progress(&self, name: &str, number: i64) -> Vec<(LoadProgress, Option<ServableState>)> {
        let wanted = id(name, number);
        let mut stands = None;
        let mut told = Vec::new();
        for event in self.news() {
            match event {
                StateEvent::Version { id, state, .. } if id == wanted => stands = Some(state),
                StateEvent::Progress { id, progress } if id == wanted => told.push((progress, stands)),
                _ => {}
            }
        }
        told
    }

    /// All news, in a row.
    pub(super) fn news(&self) -> Vec<StateEvent> {
        self.news.lock().clone()
    }
}
