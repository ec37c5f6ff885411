//! The scanner behind a thread.

use std::ops::ControlFlow;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use salver_core_loader::{SharedTarget, Source};

use crate::{Config, Scanner, VersionPath};

/// Tells a target, scan by scan, which versions there should be.
///
/// Every scan names every model; repeating what has not changed is harmless. Dropping the source stops it, after at
/// most one call to the target that is under way.
#[derive(Debug)]
pub struct FileSystemSource {
    config: Config,
    polling: Option<Polling>,
}

/// The thread that scans again and again. Nothing is ever sent: the channel's end is the signal.
#[derive(Debug)]
struct Polling {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FileSystemSource {
    /// A source that has not looked yet.
    pub fn new(config: Config) -> Self {
        Self { config, polling: None }
    }
}

impl Source<VersionPath> for FileSystemSource {
    /// Scans once before it returns, so that the target has then heard of every model that is there; further scans
    /// happen on a thread. Connecting again begins anew, with the other target only.
    fn connect(&mut self, target: SharedTarget<VersionPath>) {
        self.polling = None;
        let mut scanner = Scanner::new(self.config.clone());
        for aspired in scanner.scan() {
            target.set_aspired(aspired);
        }
        let interval = self.config.poll_interval;
        if interval.is_zero() {
            return;
        }
        let (stop, stopped) = bounded::<()>(0);
        let poll = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
                if scan_once(&mut scanner, &target, &stopped).is_break() {
                    break;
                }
            }
        };
        match thread::Builder::new().name("salver-source-file".to_owned()).spawn(poll) {
            Ok(thread) => self.polling = Some(Polling { stop: Some(stop), thread: Some(thread) }),
            Err(error) => {
                tracing::error!(%error, "no thread to watch model directories: they were scanned once")
            }
        }
    }
}

fn scan_once(
    scanner: &mut Scanner,
    target: &SharedTarget<VersionPath>,
    stopped: &Receiver<()>,
) -> ControlFlow<()> {
    for aspired in scanner.scan() {
        if stopped.try_recv() == Err(TryRecvError::Disconnected) {
            return ControlFlow::Break(());
        }
        target.set_aspired(aspired);
    }
    ControlFlow::Continue(())
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return };
        if thread.join().is_err() {
            tracing::error!("thread that watches model directories ended with a panic");
        }
    }
}
