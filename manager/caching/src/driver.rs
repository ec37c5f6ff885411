//! Carries out what the cache wants done, on threads that may block.
//!
//! Whatever happens is told to the cache under its lock. What it wants done is done after the lock is released: answers
//! at once, calls of the factory on its threads, loads and unloads on one thread that calls the basic manager. A version
//! has at most one thing under way, so what is done for one version stays in order. Only answers' handles are looked up,
//! and labels set, under the lock: a version in an answer is loaded at that moment, and may be evicted right after.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use salver_core_clock::Clock;
use salver_core_loader::Loader;
use salver_core_servable::{Handle, HasPocket as _, Lookup, ServableId, StreamName, Version, VersionChoice};
use salver_core_status::Status;
use salver_manager_basic::BasicManager;
use salver_manager_serving_map::{LabelStatus, ServingMap};

use crate::cache::Cache;
use crate::cached::{Made, Metered, Weigh};
use crate::entry::{Command, Rules, Waiter};
use crate::factory::LoaderFactory;
use crate::meter::{Meter, Tick};
use crate::options::{Options, Stats};
use crate::tally::Tally;

type Servable<F> = <<F as LoaderFactory>::Loader as Loader>::Servable;
type Answer<F> = Result<Handle<Servable<F>>, Status>;
type Done<F> = Box<dyn FnOnce(Answer<F>) + Send>;
type State<F> = Cache<Made<<F as LoaderFactory>::Loader>, Done<F>>;
type Commands<F> = Vec<Command<Made<<F as LoaderFactory>::Loader>, Done<F>>>;

/// The label by which requests that name no version find the latest one. No label of a user's begins like this.
const LATEST: &str = "\0latest";

/// What the factory is asked.
pub(crate) enum Question {
    Latest(StreamName),
    Loader(ServableId),
}

/// What is to be done with the basic manager, and what it says.
pub(crate) enum Job<L> {
    Load(ServableId, Made<L>, Arc<Meter>),
    LoadEnded(ServableId, Result<(), Status>),
    Unload(ServableId),
    UnloadEnded(ServableId, Result<(), Status>),
    Stop,
}

/// What the manager and its threads share.
pub(crate) struct Shared<F: LoaderFactory> {
    factory: F,
    weigh: Weigh,
    latest_for: std::time::Duration,
    budget_bytes: u64,
    clock: Arc<dyn Clock>,
    began: Instant,
    cache: Mutex<State<F>>,
    /// Labels that users set. Locked after the cache.
    labels: Mutex<BTreeMap<StreamName, BTreeMap<String, Version>>>,
    serving: Arc<ServingMap<Servable<F>>>,
    basic: Arc<BasicManager<Metered<F::Loader>>>,
    jobs: Sender<Job<F::Loader>>,
    /// `None` once the manager ends.
    questions: Mutex<Option<Sender<Question>>>,
    hits: Tally,
    next_number: AtomicU64,
}

impl<F: LoaderFactory> Shared<F> {
    pub(crate) fn new(
        options: Options,
        factory: F,
        jobs: Sender<Job<F::Loader>>,
        questions: Sender<Question>,
    ) -> Result<Self, Status> {
        let Options {
            budget_bytes,
            weigh,
            eviction,
            back_off,
            max_failures,
            max_pending,
            latest_for,
            clock,
            basic,
            ..
        } = options;
        let began = clock.now();
        let rules = Rules { budget_bytes, eviction, back_off, max_failures, max_pending };
        let basic = BasicManager::start(basic)?;
        Ok(Self {
            factory,
            weigh,
            latest_for,
            budget_bytes,
            clock,
            began,
            cache: Mutex::new(Cache::new(rules, began)),
            labels: Mutex::default(),
            serving: basic.serving(),
            basic,
            jobs,
            questions: Mutex::new(Some(questions)),
            hits: Tally::new(),
            next_number: AtomicU64::new(0),
        })
    }

    pub(crate) fn serving(&self) -> &ServingMap<Servable<F>> {
        &self.serving
    }

    pub(crate) fn basic(&self) -> &BasicManager<Metered<F::Loader>> {
        &self.basic
    }

    /// The hit path.
    pub(crate) fn peek(&self, name: &str, version: VersionChoice<'_>) -> Option<Handle<Servable<F>>> {
        let (choice, is_latest) = match version {
            VersionChoice::Latest => (VersionChoice::Label(LATEST), true),
            VersionChoice::Label(label) if label.starts_with('\0') => return None,
            VersionChoice::Specific(_) | VersionChoice::Label(_) => (version, false),
        };
        let handle = self.serving.get(name, choice).ok()?;
        let tick = Tick::of(self.clock.now(), self.began);
        self.hits.add();
        let is_doubtful = handle.pocket().get::<Arc<Meter>>().is_some_and(|meter| {
            meter.touch(tick);
            is_latest && meter.is_doubtful(tick, self.latest_for)
        });
        if is_doubtful {
            self.apply(|cache, now| cache.refresh(&handle.id().name, now));
        }
        Some(handle)
    }

    /// The other path. Returns the number of the request.
    pub(crate) fn request(&self, name: &StreamName, version: Option<Version>, answer: Done<F>) -> u64 {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        self.apply(|cache, now| cache.request(name, version, Waiter { number, answer }, now));
        number
    }

    pub(crate) fn leave(&self, name: &StreamName, number: u64) {
        let mut left = None;
        self.apply(|cache, now| {
            let (answer, commands) = cache.leave(name, number, now);
            left = answer;
            commands
        });
        // What the answer holds is not ours: it is dropped where nothing is locked.
        drop(left);
    }

    pub(crate) fn set_labels(&self, name: &StreamName, mut wanted: BTreeMap<String, Version>) {
        wanted.retain(|label, _| !label.starts_with('\0'));
        self.apply(|cache, _| {
            let mut labels = self.labels.lock();
            if wanted.is_empty() {
                labels.remove(name);
            } else {
                labels.insert(name.clone(), wanted);
            }
            cache.relabel(name)
        });
    }

    pub(crate) fn labels(&self, name: &str) -> BTreeMap<String, LabelStatus> {
        let mut labels = self.serving.labels(name);
        labels.remove(LATEST);
        labels
    }

    pub(crate) fn has(&self, name: &StreamName) -> bool {
        self.cache.lock().has(name)
    }

    pub(crate) fn close(&self) {
        self.apply(|cache, _| cache.close());
    }

    /// Lets the threads end.
    pub(crate) fn stop(&self) {
        self.close();
        let questions = self.questions.lock().take();
        drop(questions);
        let _ = self.jobs.send(Job::Stop);
    }

    pub(crate) fn stats(&self) -> Stats {
        let cache = self.cache.lock();
        let (counts, levels) = (cache.counts(), cache.levels());
        drop(cache);
        Stats {
            hits: self.hits.sum(),
            misses: counts.misses,
            refusals: counts.refusals,
            loads: counts.loads,
            failures: counts.failures,
            evictions: counts.evictions,
            loaded: levels.loaded,
            waiting: levels.waiting,
            used_bytes: levels.used_bytes,
            budget_bytes: self.budget_bytes,
        }
    }

    /// Tells the cache something, and does what it wants done.
    pub(crate) fn apply(&self, tell: impl FnOnce(&mut State<F>, Instant) -> Commands<F>) {
        let mut answers = Vec::new();
        let mut rest = Vec::new();
        let now = self.clock.now();
        let mut cache = self.cache.lock();
        for command in tell(&mut cache, now) {
            match command {
                Command::Answer(done, outcome) => {
                    let find = |id: ServableId| {
                        self.serving
                            .get(id.name.as_str(), VersionChoice::Specific(id.version))
                            .map_err(Status::from)
                    };
                    answers.push((done, outcome.and_then(find)));
                }
                Command::Label(name, version) => {
                    let mut labels = self.labels.lock().get(&name).cloned().unwrap_or_default();
                    labels.extend(version.map(|version| (LATEST.to_owned(), version)));
                    self.serving.set_labels(&name, labels);
                }
                command => rest.push(command),
            }
        }
        drop(cache);
        for (done, outcome) in answers {
            guarded("answer", || done(outcome));
        }
        for command in rest {
            self.carry_out(command);
        }
    }

    fn carry_out(&self, command: Command<Made<F::Loader>, Done<F>>) {
        // Once the manager ends nobody receives, and nobody has to.
        match command {
            Command::AskLatest(name) => self.ask(Question::Latest(name)),
            Command::Make(id) => self.ask(Question::Loader(id)),
            Command::Load(id, made, meter) => drop(self.jobs.send(Job::Load(id, made, meter))),
            Command::Unload(id) => drop(self.jobs.send(Job::Unload(id))),
            Command::Drop(made) => guarded("drop of a loader", || drop(made)),
            Command::Answer(..) | Command::Label(..) => {}
        }
    }

    fn ask(&self, question: Question) {
        if let Some(questions) = &*self.questions.lock() {
            let _ = questions.send(question);
        }
    }
}

/// Asks the factory, and tells the cache what it says.
pub(crate) fn ask<F: LoaderFactory>(shared: &Shared<F>, question: Question) {
    match question {
        Question::Latest(name) => {
            let outcome = caught(|| shared.factory.latest(&name));
            shared.apply(|cache, now| cache.latest_known(&name, outcome, now));
        }
        Question::Loader(id) => {
            let make = || Made::new(&id, shared.factory.loader(&id)?, shared.weigh);
            let outcome = caught(make);
            shared.apply(|cache, now| cache.made(&id, outcome, now));
        }
    }
}

/// Works with the basic manager until it is told to stop.
///
/// On a thread of its own, for two reasons: what the basic manager says comes on its threads, which must not be held up,
/// and a version that has ended must be out of it before the same version is asked for anew.
pub(crate) fn run<F: LoaderFactory>(shared: &Shared<F>, jobs: &Receiver<Job<F::Loader>>) {
    let basic = &shared.basic;
    for job in jobs {
        match job {
            Job::Load(id, made, meter) => {
                let (jobs, ended) = (shared.jobs.clone(), id.clone());
                let done = move |outcome| drop(jobs.send(Job::LoadEnded(ended, outcome)));
                match basic.manage(id.clone(), Ok(made.metered(meter, shared.weigh))) {
                    Ok(()) => basic.load(&id, done),
                    Err(status) => done(Err(status)),
                }
            }
            Job::LoadEnded(id, outcome) => {
                if outcome.is_err() {
                    forget(basic, &id);
                }
                shared.apply(|cache, now| cache.load_ended(&id, outcome, now));
            }
            Job::Unload(id) => {
                let (jobs, ended) = (shared.jobs.clone(), id.clone());
                basic.unload(&id, move |outcome| drop(jobs.send(Job::UnloadEnded(ended, outcome))));
            }
            Job::UnloadEnded(id, outcome) => {
                if let Err(error) = outcome {
                    tracing::error!(%id, %error, "evicted version was not unloaded in order");
                }
                forget(basic, &id);
                shared.apply(|cache, now| cache.unload_ended(&id, now));
            }
            Job::Stop => return,
        }
    }
}

/// Takes a version that has ended out of the basic manager.
fn forget<L: Loader>(basic: &BasicManager<L>, id: &ServableId) {
    if let Err(error) = basic.stop_managing(id) {
        tracing::debug!(%id, %error, "version that ended is not managed");
    }
}

/// Calls code that is not ours and whose panic is an error of its own.
fn caught<T>(call: impl FnOnce() -> Result<T, Status>) -> Result<T, Status> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(Status::internal("the loader factory panicked")))
}

/// Calls code that is not ours and whose panic is of no consequence.
fn guarded(what: &str, call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!(what, "went on after a panic");
    }
}
