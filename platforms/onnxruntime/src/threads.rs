//! Threads of normal priority for ONNX Runtime's pools, whoever loads.

use std::fmt;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use ort::environment::ThreadManager;

/// What a thread of a pool does, to the end of the pool.
type Work = Box<dyn FnOnce() + Send>;

/// Starts threads from a thread of its own.
///
/// A thread inherits its priority from the one that starts it, and models are loaded on threads of low priority, as the
/// whole process's pool and those of single models are made there. What computes answers would then wait for every other
/// thread of the machine, for good: only a privileged process may raise a priority again.
///
/// Clones share the thread, which ends with the last of them.
#[derive(Clone)]
pub(crate) struct Spawner(Option<Sender<Order>>);

struct Order {
    work: Work,
    started: Sender<io::Result<JoinHandle<()>>>,
}

impl Spawner {
    /// A spawner whose threads have the priority of the calling thread. Where no thread can be had for it, they have
    /// that of whoever loads.
    pub(crate) fn start() -> Self {
        let (orders, ordered) = mpsc::channel::<Order>();
        let serve = move || {
            for Order { work, started } in ordered {
                // Whoever ordered waits for it.
                let _ = started.send(start(work));
            }
        };
        let spawner = thread::Builder::new().name("onnx-spawner".to_owned()).spawn(serve);
        Self(spawner.is_ok().then_some(orders))
    }

    fn spawn(&self, work: Work) -> io::Result<JoinHandle<()>> {
        let Some(orders) = &self.0 else {
            return start(work);
        };
        let (started, has_started) = mpsc::channel();
        let is_gone = |_| io::Error::other("the thread that starts threads is gone");
        orders.send(Order { work, started }).map_err(|_| is_gone(mpsc::RecvError))?;
        has_started.recv().map_err(is_gone)?
    }
}

fn start(work: Work) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("onnx-pool".to_owned()).spawn(work)
}

impl ThreadManager for Spawner {
    type Thread = JoinHandle<()>;

    fn create(&self, work: impl FnOnce() + Send + 'static) -> ort::Result<Self::Thread> {
        self.spawn(Box::new(work)).map_err(|error| ort::Error::new(format!("starting a thread: {error}")))
    }

    fn join(thread: Self::Thread) -> ort::Result<()> {
        thread.join().map_err(|_| ort::Error::new("a thread of a pool panicked"))
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spawner").finish()
    }
}
