//! What is watched, connected to a target.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use parking_lot::Mutex;
use salver_core_loader::{AspiredVersions, SharedTarget, Source};
use salver_core_status::Status;
use tokio::sync::watch;

use crate::board::{Board, Owner};
use crate::bucket::Buckets;
use crate::runtime::Runtime;
use crate::watch::{RepositoryWatch, Watcher};
use crate::{Config, ModelUrl, RemoteVersion};

/// Tells a target which versions there should be, as far as object stores and web servers say.
///
/// Each model is looked at for itself, on one thread that waits for none of them; a store that does not answer delays
/// only the models in it. Every look tells of its model; repeating what has not changed is harmless. Dropping the source
/// stops it: nothing is told afterwards.
pub struct ObjectStoreSource {
    config: Mutex<Config>,
    connected: Option<Arc<Watcher>>,
}

impl ObjectStoreSource {
    /// A source that has not looked yet.
    pub fn new(config: Config) -> Self {
        Self { config: Mutex::new(config), connected: None }
    }

    /// Makes these the models known by name. Of those left out, the target is told at once that no version is wanted;
    /// those that are new or changed are looked at at once; the others are left alone. Blocks for no look, and must not
    /// be called by the target.
    pub fn update(&self, models: Vec<ModelUrl>) {
        let mut config = self.config.lock();
        config.models = models;
        if let Some(watcher) = &self.connected {
            Board::replace(watcher, Owner::Named, config.by_name(), false, None);
        }
    }

    /// Has everything looked at now. Returns at once.
    pub fn rescan(&self) {
        if let Some(watcher) = &self.connected {
            watcher.now.send_replace(());
        }
    }

    fn start(
        &self,
        target: SharedTarget<RemoteVersion>,
        adjust: impl FnOnce(&Buckets),
    ) -> Result<Arc<Watcher>, Status> {
        let config = self.config.lock().clone();
        let runtime = Runtime::start()?;
        let buckets = Buckets::new(runtime.clone());
        adjust(&buckets);
        let board = Board::new(runtime.clone(), target);
        let watcher = Arc::new(Watcher { config, buckets, board, now: watch::Sender::new(()) });
        let (first_look, first_looks) = mpsc::channel();
        Board::replace(&watcher, Owner::Named, watcher.config.by_name(), false, Some(&first_look));
        for (number, url) in watcher.config.repositories.iter().enumerate() {
            let owner = Owner::Repository(number);
            let watch = RepositoryWatch { watcher: Arc::clone(&watcher), url: url.clone(), owner };
            watcher.board.keep(runtime.spawn(watch.run(first_look.clone())));
        }
        drop(first_look);
        if first_looks.recv_timeout(watcher.config.first_look) == Err(RecvTimeoutError::Timeout) {
            let waited = watcher.config.first_look;
            watcher.board.tell_late(&Status::unavailable(format!("no answer within {waited:?} yet")));
        }
        Ok(watcher)
    }

    /// As [`connect`](Source::connect), with some stores put in the place of others.
    pub(crate) fn connect_with(
        &mut self,
        target: SharedTarget<RemoteVersion>,
        adjust: impl FnOnce(&Buckets),
    ) {
        self.stop();
        match self.start(Arc::clone(&target), adjust) {
            Ok(watcher) => self.connected = Some(watcher),
            Err(status) => {
                tracing::error!(%status, "object stores are not watched");
                for model in &self.config.lock().models {
                    let versions = Err(status.clone());
                    target.set_aspired(AspiredVersions { stream: model.name.clone(), versions });
                }
            }
        }
    }

    fn stop(&mut self) {
        if let Some(watcher) = self.connected.take() {
            watcher.board.close();
        }
    }
}

impl Source<RemoteVersion> for ObjectStoreSource {
    /// Returns once everything was looked at, or `first_look` has passed: the target has then heard of every model
    /// that is known by name, and of every one in a repository that answered. Connecting again begins anew, with the
    /// other target only.
    fn connect(&mut self, target: SharedTarget<RemoteVersion>) {
        self.connect_with(target, |_| {});
    }
}

impl Drop for ObjectStoreSource {
    fn drop(&mut self) {
        self.stop();
    }
}
