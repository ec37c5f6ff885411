//! Starts the worker of one version, and another one when it ends before its time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salver_core_platform::CancelFlag;
use salver_core_resource::Allocation;
use salver_core_servable::ServableId;
use salver_core_signature::SignatureSet;
use salver_core_status::Status;
use salver_plugins_host::{Backoff, HostServices, MetricKind};

use std::os::fd::AsFd as _;

use crate::channel::{Broken, Channel, Received};
use crate::lane::Lane;
use crate::message::{FromWorker, Load, ToWorker};
use crate::platform::Program;

/// How often a wait for a worker looks up: nobody tells that a load is cancelled.
const LOOK: Duration = Duration::from_millis(20);
/// How long a worker may take to give up a load, or to unload, before it is ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many metrics a worker's plugin may make; the registry has a limit of its own for names.
const MOST_METRICS: usize = 4096;

/// The figure of the platform's that counts workers that ended before their time, and what it means.
const RESTARTS: (&str, &str) = ("process_restarts", "Processes of models that ended before their time");

/// What it takes to start a worker, and to start it again.
pub(crate) struct Recipe {
    pub(crate) program: Arc<Program>,
    pub(crate) services: HostServices,
    pub(crate) plugin: PathBuf,
    pub(crate) platform: String,
}

/// A version's worker, as those who run it see it.
pub(crate) struct Shared {
    pub(crate) recipe: Recipe,
    pub(crate) id: ServableId,
    state: Mutex<State>,
    changed: Condvar,
    /// Set when the version is no longer wanted, so that a load that is under way gives up.
    pub(crate) cancel: CancelFlag,
}

struct State {
    worker: Standing,
    is_closed: bool,
}

enum Standing {
    Up(Arc<Running>),
    Down {
        why: String,
        /// When it is started again.
        again: Instant,
    },
}

/// A worker whose model is loaded.
#[derive(Debug)]
pub(crate) struct Running {
    control: Arc<Channel>,
    /// Messages to it are sent one at a time.
    speaking: Mutex<()>,
    lanes: Mutex<Vec<Lane>>,
    /// How it ended, once it has.
    end: OnceLock<String>,
}

/// What a model that was loaded says of itself.
pub(crate) type Loaded = (SignatureSet, Option<Allocation>);

impl Shared {
    pub(crate) fn new(recipe: Recipe, id: ServableId) -> Self {
        let worker = Standing::Down { why: "it is being started".to_owned(), again: Instant::now() };
        Self {
            recipe,
            id,
            state: Mutex::new(State { worker, is_closed: false }),
            changed: Condvar::new(),
            cancel: CancelFlag::new(),
        }
    }

    /// The worker.
    ///
    /// # Errors
    /// UNAVAILABLE that says why there is none, and when there will be.
    pub(crate) fn running(&self) -> Result<Arc<Running>, Status> {
        match &self.state.lock().worker {
            Standing::Up(running) => Ok(Arc::clone(running)),
            Standing::Down { why, again } => {
                let wait = again.saturating_duration_since(Instant::now()).as_secs_f64();
                Err(Status::unavailable(format!("{why}; it is started again in {wait:.1} s")))
            }
        }
    }

    /// What becomes of a run whose worker is gone.
    pub(crate) fn lost(&self, running: &Arc<Running>) -> Status {
        /// Between the end of a process's sockets and its own there is not much.
        const MOMENT: Duration = Duration::from_secs(5);
        let until = Instant::now() + MOMENT;
        let mut state = self.state.lock();
        while running.end.get().is_none() {
            if self.changed.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        let why = running.end.get().map_or("its process ended", String::as_str);
        Status::unavailable(format!("{why} while this ran; it is started again"))
    }

    /// No worker is wanted any more.
    pub(crate) fn close(&self) {
        self.cancel.cancel();
        let mut state = self.state.lock();
        state.is_closed = true;
        if let Standing::Up(running) = &state.worker {
            running.unload();
        }
        drop(state);
        self.changed.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    fn stand(&self, worker: Standing) {
        let mut state = self.state.lock();
        if let (Standing::Up(running), true) = (&worker, state.is_closed) {
            running.unload();
        }
        state.worker = worker;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until `at`; `true` as soon as no worker is wanted.
    fn is_closed_by(&self, at: Instant) -> bool {
        let mut state = self.state.lock();
        while !state.is_closed {
            if self.changed.wait_until(&mut state, at).timed_out() {
                break;
            }
        }
        state.is_closed
    }

    /// Keeps a worker until the version is no longer wanted. Says on `first` how its first load went, and ends where it failed.
    pub(crate) fn supervise(&self, load: &Load, first: SyncSender<Result<Loaded, Status>>) {
        let (model, platform) = (&self.id, &self.recipe.platform);
        let mut backoff = Backoff::default();
        let mut known: Option<SignatureSet> = None;
        loop {
            let why = match self.start(load) {
                Ok((mut worker, (signatures, resources))) => match &known {
                    Some(known) if *known != signatures => {
                        worker.end();
                        "its process was started again, and the model has other signatures now".to_owned()
                    }
                    _ => {
                        tracing::debug!(%model, platform, process = worker.child.id(), "a model has a process of its own");
                        let running = Arc::new(Running {
                            control: Arc::clone(&worker.control),
                            speaking: Mutex::default(),
                            lanes: Mutex::default(),
                            end: OnceLock::new(),
                        });
                        self.stand(Standing::Up(Arc::clone(&running)));
                        if known.is_some() {
                            tracing::warn!(%model, platform, "a process was started again, and has loaded its model");
                        } else if first.send(Ok((signatures.clone(), resources))).is_err() {
                            // Whoever loads has gone.
                            self.close();
                        }
                        known = Some(signatures);
                        let why = self.listen(&mut worker);
                        // Whoever waits for this is told by what comes next.
                        running.end.get_or_init(|| why.clone());
                        why
                    }
                },
                Err(status) if known.is_none() => {
                    // Nobody hears it where the load was given up.
                    let _ = first.send(Err(status));
                    return;
                }
                Err(status) => status.message().to_owned(),
            };
            let at = backoff.next(Instant::now());
            if self.is_closed() {
                self.changed.notify_all();
                return;
            }
            tracing::error!(%model, platform, why, "a model's process is gone, and will be started again");
            let metrics = &self.recipe.services.metrics;
            let restarts = metrics.register(platform, MetricKind::Counter, RESTARTS.0, RESTARTS.1);
            metrics.record(restarts, 1.0);
            self.stand(Standing::Down { why, again: at });
            if self.is_closed_by(at) {
                return;
            }
        }
    }

    /// Starts a worker, and has it load the model.
    fn start(&self, load: &Load) -> Result<(Worker, Loaded), Status> {
        let mut worker = Worker::open(&self.recipe)?;
        let mut given_up = None;
        let mut patient = |worker: &Channel| {
            if !self.cancel.is_cancelled() {
                return Ok(());
            }
            let since = *given_up.get_or_insert_with(|| {
                // Where it cannot be said, patience ends.
                let _ = worker.send(&ToWorker::Cancel);
                Instant::now()
            });
            if since.elapsed() < PATIENCE { Ok(()) } else { Err(Broken::Abandoned) }
        };
        match worker.ask(&ToWorker::Load(load.clone()), &mut patient) {
            Ok(FromWorker::Loaded(Ok(loaded))) => Ok((worker, loaded.into_parts()?)),
            Ok(FromWorker::Loaded(Err(failure))) => Err(failure.into()),
            Ok(other) => Err(Status::internal(format!("a process that should load a model said {other:?}"))),
            Err(Broken::Abandoned) => {
                Err(Status::cancelled("the load was given up, and its process was ended"))
            }
            Err(broken) => Err(worker.why(&broken)),
        }
    }

    /// Waits for the worker's end; says how it came.
    fn listen(&self, worker: &mut Worker) -> String {
        let mut closed = None;
        let mut patient = |_: &Channel| {
            if !self.is_closed() {
                return Ok(());
            }
            let since = *closed.get_or_insert_with(Instant::now);
            if since.elapsed() < PATIENCE { Ok(()) } else { Err(Broken::Abandoned) }
        };
        match worker.hear(&mut patient) {
            // It has unloaded; the process is of no more use, and its end gives everything back.
            Ok(_) => worker.end(),
            Err(Broken::Abandoned) => {
                let (model, platform) = (&self.id, &self.recipe.platform);
                tracing::warn!(%model, platform, "a model's process did not unload in time, and is ended");
                worker.end()
            }
            Err(broken) => return worker.why(&broken).message().to_owned(),
        };
        "it was unloaded".to_owned()
    }
}

impl Running {
    /// A lane that nobody uses.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where a new one cannot be made.
    pub(crate) fn lane(&self) -> Result<Lane, Broken> {
        if let Some(lane) = self.lanes.lock().pop() {
            return Ok(lane);
        }
        let (here, there) = Channel::pair()?;
        let _one_at_a_time = self.speaking.lock();
        self.control.send_with(&ToWorker::Lane, Some(there.as_fd()))?;
        Lane::new(here)
    }

    /// Keeps a lane for the next run.
    pub(crate) fn give_back(&self, lane: Lane) {
        self.lanes.lock().push(lane);
    }

    /// Ends a worker that does what it must not.
    pub(crate) fn shut(&self) {
        // It may have ended by itself.
        let _ = rustix::net::shutdown(&*self.control, rustix::net::Shutdown::Both);
    }

    /// The model is no longer needed; nobody runs it.
    fn unload(&self) {
        self.lanes.lock().clear();
        let _one_at_a_time = self.speaking.lock();
        // It may have ended by itself.
        let _ = self.control.send(&ToWorker::Unload);
    }
}

/// A process that has opened its plugin. Dropping it ends it.
pub(crate) struct Worker {
    child: Child,
    control: Arc<Channel>,
    received: Received,
    services: HostServices,
    /// The ids of the plugin's metrics, by the worker's numbers.
    metrics: HashMap<u64, u64>,
    is_over: bool,
}

/// What is called now and then while a worker is waited for.
type LookUp<'a> = &'a mut dyn FnMut(&Channel) -> Result<(), Broken>;

impl Worker {
    /// Starts a process, and has it open the plugin.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where the plugin cannot be used, UNAVAILABLE where the process cannot.
    pub(crate) fn open(recipe: &Recipe) -> Result<Self, Status> {
        let (child, control) = recipe.program.start()?;
        let mut worker = Self {
            child,
            control: Arc::new(control),
            received: Received::default(),
            services: recipe.services.clone(),
            metrics: HashMap::new(),
            is_over: false,
        };
        let open = ToWorker::Open {
            plugin: recipe.plugin.as_path().into(),
            platform: recipe.platform.clone(),
            cpu_threads: recipe.services.cpu_threads,
        };
        match worker.ask(&open, &mut |_| Ok(())) {
            Ok(FromWorker::Opened(Ok(()))) => Ok(worker),
            Ok(FromWorker::Opened(Err(failure))) => Err(failure.into()),
            Ok(other) => Err(Status::internal(format!("a process that should open a plugin said {other:?}"))),
            Err(broken) => Err(worker.why(&broken)),
        }
    }

    /// Says something, and waits for the answer.
    pub(crate) fn ask(&mut self, message: &ToWorker, look_up: LookUp<'_>) -> Result<FromWorker, Broken> {
        self.control.look_up_every(LOOK)?;
        self.control.send(message)?;
        self.hear(look_up)
    }

    /// Waits for the next thing that is not of metrics.
    fn hear(&mut self, look_up: LookUp<'_>) -> Result<FromWorker, Broken> {
        loop {
            self.control.receive(&mut self.received, || look_up(&self.control))?;
            match self.received.message()? {
                FromWorker::Metric { number, .. } if self.metrics.len() >= MOST_METRICS => {
                    tracing::debug!(number, "a worker has made too many metrics, this one is not taken");
                }
                FromWorker::Metric { number, plugin, kind, name, help } => {
                    let id = self.services.metrics.register(&plugin, kind.into(), &name, &help);
                    self.metrics.insert(number, id);
                }
                FromWorker::Record { number, value } => {
                    if let Some(id) = self.metrics.get(&number).filter(|id| **id != 0) {
                        self.services.metrics.record(*id, value);
                    }
                }
                other => return Ok(other),
            }
        }
    }

    /// Why nothing comes from it any more. It is over.
    pub(crate) fn why(&mut self, broken: &Broken) -> Status {
        let status = match broken {
            // It ends by itself; how, is of interest.
            Broken::Closed => self.wait(),
            _ => self.end(),
        };
        let how = status.map_or_else(|| "nobody knows how".to_owned(), |status| status.to_string());
        match broken {
            Broken::Closed => Status::unavailable(format!("its process ended with {how}")),
            other => Status::unavailable(format!("its process was ended, since {other}")),
        }
    }

    /// Ends it.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.wait()
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        self.is_over = true;
        self.child.wait().ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.is_over {
            self.end();
        }
    }
}
