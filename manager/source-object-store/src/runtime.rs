//! The thread on which everything asynchronous happens, out of sight.

use std::sync::Arc;
use std::thread;

use salver_core_status::Status;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime on a thread of its own, which ends when the last clone is dropped. Nobody waits for that end: the last
/// clone may be dropped by the thread itself.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    handle: Handle,
    /// Nothing is ever sent: the channel's end is the signal.
    _stop: Arc<oneshot::Sender<()>>,
}

impl Runtime {
    /// # Errors
    /// RESOURCE_EXHAUSTED where the system has no thread for it.
    pub(crate) fn start() -> Result<Self, Status> {
        let no_thread = |error: std::io::Error| {
            Status::resource_exhausted(format!("no thread to speak to object stores on: {error}"))
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            let _ = runtime.block_on(stopped);
            // Look-ups of names run on threads that cannot be interrupted.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("salver-object-store".to_owned()).spawn(run).map_err(no_thread)?;
        Ok(Self { handle, _stop: Arc::new(stop) })
    }

    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
        self.handle.spawn(task).abort_handle()
    }

    /// Waits for a future on the calling thread, which may block and is none of a runtime's.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }
}
