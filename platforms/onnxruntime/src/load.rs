//! From a directory to a model.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use ort::environment::Environment;
use ort::ep;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use salver_core_platform::{Cancellation, LoadRequest};
use salver_core_status::Status;

use crate::ffi::SharedSession;
use crate::library::LibrarySearch;
use crate::model::OnnxModel;
use crate::settings::{Device, OPERATOR_LIBRARIES, Settings};
use crate::threads::Spawner;
use crate::{Error, Said, environment, files, signature};

/// Loads one version of a model, opening ONNX Runtime where it is not.
pub(crate) fn load(
    search: &LibrarySearch,
    threads: NonZeroUsize,
    spawner: &Spawner,
    request: &LoadRequest<'_>,
) -> Result<OnnxModel, Error> {
    let settings = Settings::read(request.options)?;
    let file = model_file(request.directory, &settings)?;
    let operators = request.options.files(OPERATOR_LIBRARIES, request.directory)?;
    if request.cancel.is_cancelled() {
        return Err(Status::cancelled("the load is no longer wanted").into());
    }
    let environment = environment::open(search, settings.library.as_deref(), threads, spawner)?;
    let refused = |said: Said| Error::Load { file: file.clone(), said };
    let mut builder = builder(&environment, threads, spawner, &settings, &operators)
        .map_err(|error| refused(error.into()))?;
    let session = commit(&mut builder, &file, request.cancel).map_err(|error| refused(error.into()))?;
    let shared = SharedSession::new(&session).map_err(refused)?;
    let ports = signature::read(&session, &shared, &file)?;
    Ok(OnnxModel::new(shared, ports, settings.device))
}

/// The file that is the model.
pub(crate) fn model_file(directory: &Path, settings: &Settings) -> Result<PathBuf, Error> {
    let file = match &settings.file {
        Some(file) => file.clone(),
        None => files::find(directory)
            .map_err(|reason| Error::NoFile { directory: directory.to_owned(), reason })?,
    };
    Ok(directory.join(file))
}

fn builder(
    environment: &Environment,
    threads: NonZeroUsize,
    spawner: &Spawner,
    settings: &Settings,
    operators: &[PathBuf],
) -> Result<SessionBuilder, ort::Error> {
    let mut builder = Session::builder(environment)?
        .with_optimization_level(settings.optimization)?
        .with_prepacking(settings.prepacking)?
        .with_parallel_execution(settings.parallel)?
        .with_intra_op_spinning(settings.spinning)?
        .with_inter_op_spinning(settings.spinning)?;
    if settings.wants_own_pool() {
        let over_operators = if settings.parallel { threads.get() } else { 1 };
        builder = builder
            .with_independent_thread_pool()?
            .with_thread_manager(spawner.clone())?
            .with_intra_threads(settings.intra_op_threads.unwrap_or(threads.get()))?
            .with_inter_threads(settings.inter_op_threads.unwrap_or(over_operators))?;
    }
    // Without `error_on_failure` a model for the GPU would quietly run on the CPU.
    let cpu = ep::CPU::default().with_arena_allocator(settings.memory_arena).build().error_on_failure();
    builder = match settings.device {
        Device::Cpu => builder.with_execution_providers([cpu])?,
        Device::Cuda(number) => {
            let cuda = ep::CUDA::default().with_device_id(number).build().error_on_failure();
            builder.with_execution_providers([cuda, cpu])?
        }
    };
    for (key, value) in &settings.config {
        builder = builder.with_config_entry(key, value)?;
    }
    // ONNX Runtime closes them with the session.
    for library in operators {
        builder = builder.with_operator_library(library)?;
    }
    Ok(builder)
}

/// Reads the model, giving up when the load is no longer wanted.
fn commit(
    builder: &mut SessionBuilder,
    file: &Path,
    cancel: Cancellation<'_>,
) -> Result<Session, ort::Error> {
    /// How often the flag is looked at.
    const LOOK: Duration = Duration::from_millis(20);
    let canceler = builder.canceler();
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let watch = move || {
            while is_done.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if cancel.is_cancelled() {
                    // Nothing is lost where it fails: the load then runs to its end.
                    let _ = canceler.cancel();
                    return;
                }
            }
        };
        // Without a watcher, as where no thread can be had, a load cannot be given up.
        let _watcher =
            std::thread::Builder::new().name("onnx-load-watch".to_owned()).spawn_scoped(scope, watch);
        let session = builder.commit_from_file(file);
        drop(done);
        session
    })
}
