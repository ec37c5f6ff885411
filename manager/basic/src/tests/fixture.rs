//! A manager with loaders that do as they are told.

use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use salver_core_servable::{Handle, Lookup, LookupError, ServableState, VersionChoice};
use salver_core_status::Status;

use super::loaders::{Act, FakeLoader, Journal, POOLS, Recorder, Value, id};
use crate::{BasicManager, Options};

pub(super) struct Fixture {
    pub(super) manager: Arc<BasicManager<FakeLoader>>,
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
        Self { manager: BasicManager::start(options).unwrap(), journal, recorder }
    }

    /// Runs a test with each size of the pools.
    pub(super) fn with_each_pool(test: impl Fn(Self)) {
        for (load, unload) in POOLS {
            test(Self::with(|options| {
                (options.num_load_threads, options.num_unload_threads) = (load, unload);
            }));
        }
    }

    pub(super) fn loader(&self, act: Act) -> FakeLoader {
        FakeLoader::new(&self.journal, [act])
    }

    /// Takes in a version that loads as told.
    pub(super) fn manage(&self, name: &str, number: i64, act: Act) {
        self.manager.manage(id(name, number), Ok(self.loader(act))).unwrap();
    }

    /// Has a version loaded, and tells how it went when it is over.
    pub(super) fn start_load(&self, name: &str, number: i64) -> Receiver<Result<(), Status>> {
        let (sender, done) = bounded(1);
        self.manager.load(&id(name, number), move |result| sender.send(result).unwrap());
        done
    }

    pub(super) fn start_unload(&self, name: &str, number: i64) -> Receiver<Result<(), Status>> {
        let (sender, done) = bounded(1);
        self.manager.unload(&id(name, number), move |result| sender.send(result).unwrap());
        done
    }

    pub(super) fn load(&self, name: &str, number: i64) -> Result<(), Status> {
        self.start_load(name, number).recv().unwrap()
    }

    pub(super) fn unload(&self, name: &str, number: i64) -> Result<(), Status> {
        self.start_unload(name, number).recv().unwrap()
    }

    /// Takes in and loads a version that loads as told.
    pub(super) fn manage_and_load(&self, name: &str, number: i64, act: Act) -> Result<(), Status> {
        self.manage(name, number, act);
        self.load(name, number)
    }

    pub(super) fn wait(&self, name: &str, number: i64, state: ServableState) {
        self.recorder.wait(name, number, state);
    }

    pub(super) fn get(&self, name: &str, choice: VersionChoice<'_>) -> Result<Handle<Value>, LookupError> {
        self.manager.serving().get(name, choice)
    }

    /// The numbers of the versions of `name` that requests find.
    pub(super) fn serving(&self, name: &str) -> Vec<i64> {
        let ids = self.manager.serving().available();
        ids.iter().filter(|id| id.name.as_str() == name).map(|id| id.version.number()).collect()
    }

    /// How many bytes are reserved.
    pub(super) fn used(&self) -> u64 {
        self.manager.resources().0.get(&salver_core_resource::Resource::ram())
    }
}
