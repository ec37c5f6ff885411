//! A platform whose models are kept in processes of their own.

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use salver_core_platform::{LoadRequest, Model, Platform, Probe};
use salver_core_resource::Estimate;
use salver_core_status::Status;
use salver_plugins_host::HostServices;

use crate::channel::Channel;
use crate::message::{FromWorker, Load, ToWorker};
use crate::model::IsolatedModel;
use crate::supervisor::{Recipe, Worker};

/// What is started as a worker: a program that runs [`work`](crate::work).
#[derive(Clone, Debug)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// Starts it, with one end of a socket as its standard input. What it prints goes to standard error.
    ///
    /// # Errors
    /// UNAVAILABLE where it cannot be started.
    pub(crate) fn start(&self) -> Result<(Child, Channel), Status> {
        let unavailable = |error: &dyn std::fmt::Display| {
            Status::unavailable(format!("no process can be started from `{}`: {error}", self.path.display()))
        };
        let (here, there) = Channel::pair().map_err(|error| unavailable(&error))?;
        let output = std::io::stderr().as_fd().try_clone_to_owned().map_err(|error| unavailable(&error))?;
        let mut command = Command::new(&self.path);
        // The path may be one that says nothing, such as `/proc/self/exe`.
        command.arg0("salver").args(&self.arguments);
        command.stdin(Stdio::from(there.into_inner())).stdout(Stdio::from(output)).stderr(Stdio::inherit());
        let child = command.spawn().map_err(|error| unavailable(&error))?;
        Ok((child, here))
    }
}

/// What keeps platforms in processes of their own.
#[derive(Clone, Debug)]
pub struct Isolation {
    program: Arc<Program>,
    services: HostServices,
    spawner: Arc<Spawner>,
}

impl Isolation {
    /// Workers are `program`; what their plugins are offered is `services`, but for batching, which is the workers' own.
    ///
    /// Called on a thread of the priority that workers are to have: they inherit it.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where no thread can be started.
    pub fn new(program: Program, services: HostServices) -> Result<Self, Status> {
        Ok(Self { program: Arc::new(program), services, spawner: Arc::new(Spawner::start()?) })
    }

    /// The platform `name` of the plugin in `file`, each of whose versions is loaded in a process of its own. Where the
    /// server has the plugin open, too, `opened` answers what needs no process.
    pub fn platform(&self, name: &str, file: &Path, opened: Option<Arc<dyn Platform>>) -> Arc<dyn Platform> {
        let name = name.to_owned();
        Arc::new(IsolatedPlatform {
            isolation: self.clone(),
            name,
            file: file.to_owned(),
            opened,
            scout: Mutex::default(),
        })
    }
}

struct IsolatedPlatform {
    isolation: Isolation,
    name: String,
    file: PathBuf,
    opened: Option<Arc<dyn Platform>>,
    /// A process that is asked of models before they are loaded, where the server has not opened the plugin.
    scout: Mutex<Option<Worker>>,
}

impl IsolatedPlatform {
    fn recipe(&self) -> Recipe {
        Recipe {
            program: Arc::clone(&self.isolation.program),
            services: self.isolation.services.clone(),
            plugin: self.file.clone(),
            platform: self.name.clone(),
        }
    }

    /// Asks the scout, which is started where there is none, and dropped where it fails.
    fn ask(&self, message: &ToWorker) -> Result<FromWorker, Status> {
        let mut scout = self.scout.lock();
        let mut worker = match scout.take() {
            Some(worker) => worker,
            None => Worker::open(&self.recipe())?,
        };
        match worker.ask(message, &mut |_| Ok(())) {
            Ok(answer) => {
                *scout = Some(worker);
                Ok(answer)
            }
            Err(broken) => Err(worker.why(&broken)),
        }
    }
}

impl Platform for IsolatedPlatform {
    fn name(&self) -> &str {
        &self.name
    }

    fn probe(&self, directory: &Path) -> Probe {
        if let Some(opened) = &self.opened {
            return opened.probe(directory);
        }
        match self.ask(&ToWorker::Probe { directory: directory.into() }) {
            Ok(FromWorker::Probed { file: Some(file), .. }) => Probe::Match { file },
            Ok(FromWorker::Probed { file: None, reason }) => Probe::NoMatch { reason },
            Ok(other) => Probe::NoMatch { reason: format!("its process answered {other:?}") },
            Err(status) => Probe::NoMatch { reason: status.message().to_owned() },
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        let model = IsolatedModel::load(self.recipe(), request, &self.isolation.spawner)?;
        Ok(Box::new(model))
    }

    fn estimate(&self, request: &LoadRequest<'_>) -> Result<Option<Estimate>, Status> {
        if let Some(opened) = &self.opened {
            return opened.estimate(request);
        }
        match self.ask(&ToWorker::Estimate(Load::new(request)))? {
            FromWorker::Estimated(Ok(taken)) => Ok(taken.map(Estimate::from)),
            FromWorker::Estimated(Err(failure)) => Err(failure.into()),
            other => Err(Status::internal(format!("a process that should estimate said {other:?}"))),
        }
    }
}

/// Starts threads of its own thread's priority: those that load have a lower one, which what they start would inherit.
#[derive(Debug)]
pub(crate) struct Spawner {
    jobs: Mutex<mpsc::Sender<Job>>,
}

type Job = (Box<dyn FnOnce() + Send>, mpsc::SyncSender<std::io::Result<JoinHandle<()>>>);

impl Spawner {
    fn start() -> Result<Self, Status> {
        let (jobs, wanted) = mpsc::channel::<Job>();
        let spawn = move || {
            for (body, started) in wanted {
                let thread = std::thread::Builder::new().name("model-process".to_owned()).spawn(body);
                // Whoever asked waits for it.
                let _ = started.send(thread);
            }
        };
        std::thread::Builder::new().name("model-processes".to_owned()).spawn(spawn).map_err(no_thread)?;
        Ok(Self { jobs: Mutex::new(jobs) })
    }

    pub(crate) fn spawn(&self, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Status> {
        let (says, started) = mpsc::sync_channel(1);
        let gone = || Status::internal("the thread that starts threads is gone");
        self.jobs.lock().send((Box::new(body), says)).map_err(|_| gone())?;
        started.recv().map_err(|_| gone())?.map_err(no_thread)
    }
}

fn no_thread(error: std::io::Error) -> Status {
    Status::resource_exhausted(format!("no thread for a model's process: {error}"))
}
