//! The source, and its thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;
use salver_core_clock::{Clock, SystemClock};
use salver_core_loader::{SharedTarget, Source};

use crate::agenda::Agenda;
use crate::driver::{Driver, INBOX, Lookers, Message};
use crate::files::{Disk, Files};
use crate::inotify::{Inotify, Listener};
use crate::scan::Scanner;
use crate::{Config, ModelDir, VersionPath};

/// Tells a target which versions there should be, and tells it again when that may have changed.
///
/// Each look at a model ends with word of it; repeating what has not changed is harmless. A model whose folder vanished
/// from its repository is named once more, with no versions. Dropping the source stops it, after at most one call to
/// the target that is under way; it does not wait for a file system that hangs.
pub struct FileSystemSource {
    config: Mutex<Config>,
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    is_seen: Arc<AtomicBool>,
    running: Option<Running>,
}

/// The thread, and the way to it.
struct Running {
    inbox: Sender<Message>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FileSystemSource {
    /// A source that has not looked yet.
    pub fn new(config: Config) -> Self {
        Self::with(config, Arc::new(Disk), Arc::new(SystemClock))
    }

    pub(crate) fn with(config: Config, files: Arc<dyn Files>, clock: Arc<dyn Clock>) -> Self {
        Self { config: Mutex::new(config), files, clock, is_seen: Arc::default(), running: None }
    }

    /// Replaces the models known by name, all at once.
    ///
    /// Those that are not among `models` are unloaded: the target is told of an empty set, unless a repository has a
    /// model of the name. The others are looked at now, also where they are looked at once or never by themselves, so
    /// that another policy or base path counts at once. Returns as [`connect`](Source::connect) does. Not to be called
    /// by the target.
    pub fn update(&self, models: Vec<ModelDir>) {
        let mut config = self.config.lock();
        config.models.clone_from(&models);
        let Some(running) = &self.running else { return };
        let (waiter, done) = bounded(0);
        if running.inbox.send(Message::Update(models, waiter)).is_ok() {
            drop(config);
            let _ = done.recv();
        }
    }

    /// Tells, whenever it is called, whether the target has heard of what is in every repository: one that is not there at
    /// the start may come later. Where looks hang, or a repository is looked at once, there is no more to wait for.
    pub fn seen(&self) -> impl Fn() -> bool + Send + Sync + 'static + use<> {
        let is_seen = Arc::clone(&self.is_seen);
        move || is_seen.load(Ordering::Acquire)
    }

    /// Has everything looked at now. Returns at once.
    pub fn rescan(&self) {
        if let Some(running) = &self.running {
            let _ = running.inbox.send(Message::Rescan);
        }
    }
}

impl Source<VersionPath> for FileSystemSource {
    /// Returns when the target has heard of every model that is there. Where a version was modified just before, so
    /// that it may still be being copied, that is when it has had [`settle`](Config::settle) to come to rest. Where
    /// nothing is heard for five seconds, as a file system hangs, it is not waited for longer.
    ///
    /// From then on a thread tells. Connecting again begins anew, with the other target only.
    fn connect(&mut self, target: SharedTarget<VersionPath>) {
        self.running = None;
        self.is_seen.store(false, Ordering::Release);
        let config = self.config.get_mut().clone();
        let (waiter, done) = bounded(0);
        let (inbox, messages) = bounded(INBOX);
        let inotify = if config.watch { watch(&inbox) } else { None };
        let (inotify, listener) = inotify.unzip();
        let agenda = Agenda::new(&config, self.clock.now());
        let (files, clock) = (Arc::clone(&self.files), Arc::clone(&self.clock));
        let scanner = Arc::new(Scanner { config, files, clock, inotify });
        let is_stopped = Arc::new(AtomicBool::new(false));
        let driver = Driver {
            agenda,
            lookers: Lookers::new(Arc::clone(&scanner), inbox.clone()),
            scanner,
            target,
            inbox: messages,
            is_stopped: Arc::clone(&is_stopped),
            waiters: vec![waiter],
            is_seen: Arc::clone(&self.is_seen),
            listener,
        };
        match thread::Builder::new().name("salver-source-file".to_owned()).spawn(move || driver.run()) {
            Ok(thread) => self.running = Some(Running { inbox, is_stopped, thread: Some(thread) }),
            Err(error) => {
                tracing::error!(%error, "no thread to watch model directories: no model will be found");
            }
        }
        // Ends with the waiter.
        let _ = done.recv();
    }
}

/// Word of changes, where the system has it to give.
fn watch(inbox: &Sender<Message>) -> Option<(Arc<Inotify>, Listener)> {
    let start = || {
        let inotify = Arc::new(Inotify::new()?);
        let inbox = inbox.clone();
        let tell = move |changed| inbox.send(Message::Changed(changed)).is_ok();
        let listener = Listener::start(Arc::clone(&inotify), tell)?;
        Ok::<_, std::io::Error>((inotify, listener))
    };
    start()
        .inspect_err(|error| {
            tracing::warn!(%error, "the system tells of no changes: folders are looked at from time to time");
        })
        .ok()
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        let _ = self.inbox.send(Message::Stop);
        let Some(thread) = self.thread.take() else { return };
        if thread.join().is_err() {
            tracing::error!("thread that watches model directories ended with a panic");
        }
    }
}

impl fmt::Debug for FileSystemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSystemSource").field("config", &self.config).finish_non_exhaustive()
    }
}
