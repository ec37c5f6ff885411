//! The other side: a process that opens a plugin, and does what the server asks of it.

use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use salver_core_platform::{
    Batcher, CancelFlag, Cancellation, LoadRequest, Model, Platform, RunContext, RunRequest, TraceContext,
};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Shape, Tensor, TensorView};
use salver_plugins_host::{HostServices, MetricKind, PluginMetrics, Plugins};

use crate::channel::{Broken, Channel, Received};
use crate::message::{self, Failure, FromWorker, Load, Loaded, Placed, Ran, Run, ToWorker, options};
use crate::segment::{KEPT, Places, Segment};

/// How many values of metrics may wait to be sent; what is more is lost.
const WAITING: usize = 1024;

/// Works for the server whose socket is this process's standard input, until that is closed. `batcher` is for steps inside the
/// plugin's models.
///
/// Returns only where there is no such socket; otherwise the process ends in here.
///
/// # Errors
/// FAILED_PRECONDITION where the standard input is not what it should be.
pub fn work(batcher: Arc<dyn Batcher>) -> Result<(), Status> {
    let refused = |error: &dyn std::fmt::Display| {
        Status::failed_precondition(format!("only a server starts this, and hands a socket over: {error}"))
    };
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| refused(&error))?;
    let null = std::fs::File::open("/dev/null").map_err(|error| refused(&error))?;
    // What plugins start does not hold the server's socket open.
    rustix::stdio::dup2_stdin(&null).map_err(|error| refused(&error))?;
    let control = Channel::of(socket);
    let mut received = Received::default();
    control.receive(&mut received, || Ok(())).map_err(|error| refused(&error))?;
    let ToWorker::Open { plugin, platform, cpu_threads } =
        received.message().map_err(|error| refused(&error))?
    else {
        return Err(refused(&"it has not said which plugin to open"));
    };
    let outbox = Outbox::start(control.as_fd().try_clone_to_owned().map_err(|error| refused(&error))?);
    let services = HostServices {
        cpu_threads,
        metrics: Arc::new(Figures::new(outbox.clone())),
        batcher: Arc::clone(&batcher),
    };
    let cancel = CancelFlag::new();
    let (jobs, work) = mpsc::channel();
    let desk = Desk {
        outbox,
        services,
        batcher,
        cancel: cancel.clone(),
        platform: None,
        model: None,
        lanes: Vec::new(),
    };
    std::thread::spawn(move || until_the_end(|| desk.work(plugin.into(), &platform, &work)));
    // Here only to hear when the server is gone, whatever the plugin is busy with.
    until_the_end(|| {
        while control.receive(&mut received, || Ok(())).is_ok() {
            let Ok(message) = received.message() else { return };
            if matches!(message, ToWorker::Cancel) {
                cancel.cancel();
            } else if jobs.send((message, received.file.take())).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Does something after which, however it ends, this process is of no more use. No destructor of a foreign library runs.
fn until_the_end(body: impl FnOnce()) {
    // The message of a panic has been written.
    let _ = catch_unwind(AssertUnwindSafe(body));
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

type Job = (ToWorker, Option<std::os::fd::OwnedFd>);

/// What does everything but runs, one after another.
struct Desk {
    outbox: Outbox,
    services: HostServices,
    batcher: Arc<dyn Batcher>,
    cancel: CancelFlag,
    platform: Option<Arc<dyn Platform>>,
    model: Option<Arc<dyn Model>>,
    lanes: Vec<JoinHandle<()>>,
}

impl Desk {
    fn work(mut self, plugin: PathBuf, platform: &str, jobs: &mpsc::Receiver<Job>) {
        let opened = self.open(&plugin, platform);
        self.outbox.say(FromWorker::Opened(opened.map_err(Failure::from)));
        for (message, file) in jobs {
            match message {
                ToWorker::Open { .. } | ToWorker::Cancel => {}
                ToWorker::Probe { directory } => {
                    let probe =
                        self.platform.as_ref().map(|platform| platform.probe(&PathBuf::from(directory)));
                    self.outbox.say(probe.map_or_else(
                        || FromWorker::Probed { file: None, reason: "there is no platform".to_owned() },
                        FromWorker::from,
                    ));
                }
                ToWorker::Estimate(load) => {
                    let estimate = self.with(load, |platform, request| platform.estimate(request));
                    let estimate = estimate.map(|estimate| estimate.as_ref().map(message::Taken::from));
                    self.outbox.say(FromWorker::Estimated(estimate.map_err(Failure::from)));
                }
                ToWorker::Load(load) => {
                    let loaded = self.load(load);
                    self.outbox.say(FromWorker::Loaded(loaded.map_err(Failure::from)));
                }
                ToWorker::Lane => {
                    if let (Some(model), Some(socket)) = (&self.model, file) {
                        let (model, channel) = (Arc::clone(model), Channel::of(socket));
                        self.lanes.push(std::thread::spawn(move || {
                            if catch_unwind(AssertUnwindSafe(|| Lane::new(channel).serve(&*model))).is_err() {
                                until_the_end(|| {});
                            }
                        }));
                    }
                }
                ToWorker::Unload => {
                    // The server has closed them, so that they end.
                    for lane in self.lanes.drain(..) {
                        // One that panicked has ended the process.
                        let _ = lane.join();
                    }
                    self.model = None;
                    self.outbox.say(FromWorker::Unloaded);
                }
            }
        }
    }

    fn open(&mut self, plugin: &std::path::Path, wanted: &str) -> Result<(), Status> {
        let opened = Plugins::new(self.services.clone()).open(plugin);
        let opened = opened.map_err(|error| Status::failed_precondition(error.to_string()))?;
        let found = opened.platforms().iter().find(|platform| platform.name() == wanted);
        let found = found.ok_or_else(|| {
            Status::failed_precondition(format!("`{}` has no platform {}", plugin.display(), Quoted(wanted)))
        })?;
        self.platform = Some(Arc::clone(found));
        Ok(())
    }

    fn with<T>(
        &self,
        load: Load,
        body: impl FnOnce(&dyn Platform, &LoadRequest<'_>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let platform = self.platform.as_ref();
        let platform = platform.ok_or_else(|| Status::failed_precondition("there is no platform"))?;
        let (id, directory, options) = load.into_parts()?;
        let cancel = self.cancel.watch();
        let (id, directory, options) = (&id, &*directory, &options);
        body(&**platform, &LoadRequest { id, directory, options, cancel, batcher: &self.batcher })
    }

    fn load(&mut self, load: Load) -> Result<Loaded, Status> {
        let model: Arc<dyn Model> = self.with(load, |platform, request| platform.load(request))?.into();
        let loaded = Loaded::new(model.signatures(), model.resources().as_ref())?;
        self.model = Some(model);
        Ok(loaded)
    }
}

/// What is said to the server, in order. Clones share it.
#[derive(Clone)]
struct Outbox(mpsc::SyncSender<FromWorker>);

impl Outbox {
    fn start(socket: std::os::fd::OwnedFd) -> Self {
        let (says, said) = mpsc::sync_channel(WAITING);
        let channel = Channel::of(socket);
        // What cannot be said the server would wait for.
        std::thread::spawn(move || {
            until_the_end(|| {
                let _ = said.into_iter().try_for_each(|message| channel.send(&message));
            });
        });
        Self(says)
    }

    fn say(&self, message: FromWorker) {
        // As above.
        let _ = self.0.send(message);
    }
}

/// Passes what the plugin counts on to the server.
struct Figures {
    outbox: Outbox,
    last: AtomicU64,
}

impl Figures {
    fn new(outbox: Outbox) -> Self {
        Self { outbox, last: AtomicU64::new(0) }
    }
}

impl PluginMetrics for Figures {
    fn register(&self, plugin: &str, kind: MetricKind, name: &str, help: &str) -> u64 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (plugin, name, help) = (plugin.to_owned(), name.to_owned(), help.to_owned());
        self.outbox.say(FromWorker::Metric { number, plugin, kind: kind.into(), name, help });
        number
    }

    fn record(&self, number: u64, value: f64) {
        // Must not block: where the server does not keep up, the value is lost.
        let _ = self.outbox.0.try_send(FromWorker::Record { number, value });
    }
}

/// This end of a lane.
struct Lane {
    channel: Channel,
    inputs: Option<Segment>,
    outputs: Vec<Output>,
    last: u32,
}

/// A segment of outputs that the server has, too.
struct Output {
    number: u32,
    segment: Segment,
    is_lent: bool,
}

/// An input as it lies in the segment, or was copied from there.
enum Input<'a> {
    Elements(DType, Shape, &'a [u8]),
    Strings(Tensor),
}

impl Lane {
    fn new(channel: Channel) -> Self {
        Self { channel, inputs: None, outputs: Vec::new(), last: 0 }
    }

    /// Until the server closes the lane.
    fn serve(mut self, model: &dyn Model) {
        let mut received = Received::default();
        while self.channel.receive(&mut received, || Ok(())).is_ok() {
            if self.answer(&mut received, model).is_err() {
                return;
            }
        }
    }

    fn answer(&mut self, received: &mut Received, model: &dyn Model) -> Result<(), Broken> {
        if let Some(file) = received.file.take() {
            // The old one goes first.
            self.inputs = None;
            self.inputs = Some(Segment::open(&file)?);
        }
        let run: Run<'_> = received.message()?;
        for output in &mut self.outputs {
            output.is_lent &= !run.released.contains(&output.number);
        }
        let outcome = self.run(run, model);
        self.inputs.take_if(|segment| segment.size() > KEPT);
        let mut ran = Ran { outcome: Ok(Vec::new()), segment: 0, dropped: Vec::new() };
        let mut file = None;
        match outcome.and_then(|tensors| self.put(&tensors, &mut ran)) {
            Ok(new) => file = new,
            Err(status) => ran.outcome = Err(status.into()),
        }
        self.channel.send_with(&ran, file.as_ref().map(|file| file.as_fd()))
    }

    fn run(&self, run: Run<'_>, model: &dyn Model) -> Result<Vec<Tensor>, Status> {
        let inputs =
            run.inputs.iter().map(|placed| placed.as_ref().map(|placed| self.input(placed)).transpose());
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let views = inputs.iter().map(|input| input.as_ref().map(Input::view).transpose());
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let parameters = options(run.parameters);
        let word = self.inputs.as_ref().map(Segment::cancel_word);
        let context = RunContext {
            // One that is too far away to be named is none.
            deadline: run.time.and_then(|time| Instant::now().checked_add(time)),
            cancel: word.map_or(Cancellation::NEVER, Cancellation::by_word),
            trace: TraceContext { trace_id: run.trace_id, span_id: run.span_id, flags: run.trace_flags },
            request_id: run.request_id,
            parameters: &parameters,
        };
        model.run(&RunRequest { signature: run.signature, inputs: &views, outputs: &run.outputs, context })
    }

    fn input(&self, placed: &Placed) -> Result<Input<'_>, Status> {
        let &Placed { at, size, .. } = placed;
        let dtype = message::dtype(placed.dtype)?;
        let shape = Shape::new(&placed.dims)?;
        let bytes = self.inputs.as_ref().and_then(|segment| segment.slice(at, size));
        let bytes = bytes.ok_or_else(|| Status::internal(format!("there are no {size} bytes at {at}")))?;
        if dtype == DType::String {
            let bytes = bytes::Bytes::copy_from_slice(bytes);
            return Ok(Input::Strings(message::tensor(dtype, shape, bytes)?));
        }
        Ok(Input::Elements(dtype, shape, bytes))
    }

    /// Copies the outputs to where the server sees them; returns the file of the segment where it does not have it yet.
    fn put(&mut self, tensors: &[Tensor], ran: &mut Ran) -> Result<Option<std::os::fd::OwnedFd>, Status> {
        let too_large =
            || Status::resource_exhausted("the outputs are larger than can be shared with the server");
        let mut places = Places::default();
        let mut parts = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let bytes = match tensor.strings() {
                Some(strings) => strings.view().to_length_prefixed()?,
                None => tensor.fixed().cloned().unwrap_or_default(),
            };
            let place = places.next(bytes.len()).ok_or_else(too_large)?;
            let (dtype, dims) = (tensor.dtype() as u32, tensor.shape().dims().to_vec());
            parts.push((Placed { dtype, dims, at: place.start, size: place.len() }, bytes));
        }
        let fits = |output: &&mut Output| !output.is_lent && output.segment.size() >= places.end();
        let mut file = None;
        let mut once = None;
        let segment = if let Some(output) = self.outputs.iter_mut().find(fits) {
            output.is_lent = true;
            ran.segment = output.number;
            &output.segment
        } else {
            // Those that were too small are of no more use; what they took would only add up.
            ran.dropped =
                self.outputs.extract_if(.., |output| !output.is_lent).map(|output| output.number).collect();
            let made = Segment::create(places.end()).map_err(|error| {
                let bytes = places.end();
                Status::resource_exhausted(format!(
                    "no memory to share {bytes} bytes with the server: {error}"
                ))
            });
            let (segment, new) = made?;
            file = Some(new);
            self.last = self.last.wrapping_add(1);
            ran.segment = self.last;
            if segment.size() > KEPT {
                once.insert(segment)
            } else {
                self.outputs.push(Output { number: self.last, segment, is_lent: true });
                // It was pushed just now.
                &self.outputs.last().ok_or_else(too_large)?.segment
            }
        };
        for (placed, bytes) in &parts {
            segment.write(placed.at, bytes).ok_or_else(too_large)?;
        }
        ran.outcome = Ok(parts.into_iter().map(|(placed, _)| placed).collect());
        Ok(file)
    }
}

impl Input<'_> {
    fn view(&self) -> Result<TensorView<'_>, Status> {
        match self {
            Input::Elements(dtype, shape, bytes) => Ok(TensorView::new(*dtype, shape, bytes)?),
            Input::Strings(tensor) => Ok(tensor.view()),
        }
    }
}
