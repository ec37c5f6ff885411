//! A manager with loaders that do as they are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use salver_core_loader::{Aspired, AspiredVersions, Target};
use salver_core_servable::{
    Handle, Lookup, LookupError, ServableState, StateEvent, StreamName, VersionChoice,
};
use salver_core_status::Status;

use super::loaders::{Act, FakeLoader, Journal, POOLS, Recorder, Value, far, version};
use crate::{AspiredManager, Options};

pub(super) struct Fixture {
    pub(super) manager: Arc<AspiredManager<FakeLoader>>,
    pub(super) journal: Journal,
    pub(super) recorder: Arc<Recorder>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(adjust: impl FnOnce(&mut Options)) -> Self {
        Self::with_journal(Journal::default(), adjust)
    }

    pub(super) fn with_journal(journal: Journal, adjust: impl FnOnce(&mut Options)) -> Self {
        let recorder = Arc::new(Recorder::default());
        let mut options = Options::new(recorder.clone());
        adjust(&mut options);
        Self { manager: AspiredManager::start(options).unwrap(), journal, recorder }
    }

    /// Runs a test with each size of the pools.
    pub(super) fn with_each_pool(test: impl Fn(Self)) {
        for (load, unload) in POOLS {
            test(Self::with(|options| {
                (options.num_load_threads, options.num_unload_threads) = (load, unload);
            }));
        }
    }

    pub(super) fn one(&self, number: i64, act: Act) -> Aspired<FakeLoader> {
        self.one_by(number, FakeLoader::new(&self.journal, [act]))
    }

    pub(super) fn one_by(&self, number: i64, loader: FakeLoader) -> Aspired<FakeLoader> {
        Aspired { version: version(number), revision: 0, data: Ok(loader) }
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

    /// Aspires versions of `name` that take so many bytes.
    pub(super) fn aspire_sized(&self, name: &str, versions: &[(i64, u64)]) {
        let one = |(number, bytes): &(i64, u64)| {
            let loader = FakeLoader::new(&self.journal, [Act::Load]).taking(*bytes, *bytes);
            self.one_by(*number, loader)
        };
        self.set(name, Ok(versions.iter().map(one).collect()));
    }

    pub(super) fn set(&self, name: &str, versions: Result<Vec<Aspired<FakeLoader>>, Status>) {
        self.manager.set_aspired(AspiredVersions { stream: name.into(), versions });
    }

    /// Waits until a version stands somewhere.
    pub(super) fn wait(&self, name: &str, number: i64, state: ServableState) {
        self.recorder.wait(name, number, state);
    }

    /// Waits until every stream has nothing to wait for.
    pub(super) fn wait_until_settled(&self, names: &[StreamName]) {
        assert!(self.recorder.monitor().wait_until_settled(names, far()));
    }

    /// Waits until the manager has done all that follows from what it was told so far.
    pub(super) fn sync(&self) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sync-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // An error is reported without a load thread, and after everything before it was carried out.
        self.set(&name, Err(Status::unavailable("sync")));
        let is_heard = self.recorder.monitor().wait_until(|states| states.stream(&name).is_some(), far());
        assert!(is_heard);
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
        self.recorder.states(name, number)
    }

    /// The trouble reported of a stream.
    pub(super) fn troubles(&self, wanted: &str) -> Vec<Option<Status>> {
        let of_stream = |event| match event {
            StateEvent::Stream { name, error } if name.as_str() == wanted => Some(error),
            _ => None,
        };
        self.recorder.news().into_iter().filter_map(of_stream).collect()
    }
}
