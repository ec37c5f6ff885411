//! Who watches which stream, and the target that is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use salver_core_loader::{Aspired, AspiredVersions, SharedTarget};
use salver_core_servable::StreamName;
use salver_core_status::Status;
use tokio::task::AbortHandle;

use crate::address::shown;
use crate::runtime::Runtime;
use crate::watch::{FirstLook, ModelWatch, Watcher};
use crate::{ModelUrl, RemoteVersion};

/// Which streams are watched. The target is told under its lock: from the moment on that a stream is removed, nothing
/// is told of it any more.
pub(crate) struct Board {
    runtime: Runtime,
    target: SharedTarget<RemoteVersion>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    streams: BTreeMap<StreamName, Entry>,
    /// Of repositories.
    tasks: Vec<AbortHandle>,
    next_number: u64,
}

/// One stream.
struct Entry {
    /// Told apart from another that the stream had before.
    number: u64,
    owner: Owner,
    dir: ModelUrl,
    task: Option<AbortHandle>,
    was_told: bool,
}

/// Who says that there is a stream: the configuration by name, or the repository of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Named,
    Repository(usize),
}

impl Board {
    pub(crate) fn new(runtime: Runtime, target: SharedTarget<RemoteVersion>) -> Self {
        Self { runtime, target, state: Mutex::default() }
    }

    /// Tells the target, unless the stream is watched by somebody else by now.
    pub(crate) fn tell(
        &self,
        stream: &StreamName,
        number: u64,
        versions: Result<Vec<Aspired<RemoteVersion>>, Status>,
    ) {
        let mut state = self.state.lock();
        let is_closed = state.is_closed;
        if let Some(entry) =
            state.streams.get_mut(stream).filter(|entry| entry.number == number && !is_closed)
        {
            entry.was_told = true;
            self.target.set_aspired(AspiredVersions { stream: stream.clone(), versions });
        }
    }

    /// Says of each stream that nothing was heard of that it is in trouble.
    pub(crate) fn tell_late(&self, status: &Status) {
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        for (stream, entry) in state.streams.iter_mut().filter(|(_, entry)| !entry.was_told) {
            entry.was_told = true;
            let status = status.clone().context(shown(&entry.dir.url.url));
            self.target.set_aspired(AspiredVersions { stream: stream.clone(), versions: Err(status) });
        }
    }

    /// Makes these the streams of one owner: begins to watch those that are new or elsewhere, and tells once of those
    /// that are gone that no version is wanted. Returns a sentence for each stream that is somebody else's.
    ///
    /// What the configuration names is taken from a repository. `is_later`: the owner was known before, so that what
    /// is new appeared while it was watched.
    pub(crate) fn replace(
        watcher: &Arc<Watcher>,
        owner: Owner,
        models: BTreeMap<StreamName, ModelUrl>,
        is_later: bool,
        first_look: Option<&FirstLook>,
    ) -> BTreeSet<String> {
        let board = &watcher.board;
        let mut notices = BTreeSet::new();
        let mut state = board.state.lock();
        let state = &mut *state;
        if state.is_closed {
            return notices;
        }
        state.streams.retain(|stream, entry| {
            let is_gone = entry.owner == owner && !models.contains_key(stream);
            if is_gone {
                entry.stop();
                tracing::info!(model = %stream, "is gone, unloading the model");
                board
                    .target
                    .set_aspired(AspiredVersions { stream: stream.clone(), versions: Ok(Vec::new()) });
            }
            !is_gone
        });
        for (stream, dir) in models {
            if let Some(entry) = state.streams.get_mut(&stream) {
                if entry.owner != owner && owner != Owner::Named {
                    let url = shown(&dir.url.url);
                    notices.insert(format!("{url} is ignored: a model of its name is served from elsewhere"));
                    continue;
                }
                if entry.owner == owner && entry.dir == dir {
                    continue;
                }
                entry.stop();
            }
            let number = state.next_number;
            state.next_number += 1;
            let watch = ModelWatch::new(Arc::clone(watcher), dir.clone(), number, is_later);
            // Without anybody who waits, the channel's end tells nobody.
            let first_look = first_look.cloned().unwrap_or_else(|| std::sync::mpsc::channel().0);
            let task = Some(board.runtime.spawn(watch.run(first_look)));
            state.streams.insert(stream, Entry { number, owner, dir, task, was_told: false });
        }
        notices
    }

    /// Keeps a task of a repository, to be ended with the rest.
    pub(crate) fn keep(&self, task: AbortHandle) {
        self.state.lock().tasks.push(task);
    }

    /// Ends everything. Once this returns, the target is told nothing.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        for task in std::mem::take(&mut state.tasks) {
            task.abort();
        }
        // A task holds the board that holds it.
        for entry in std::mem::take(&mut state.streams).values_mut() {
            entry.stop();
        }
    }
}

impl Entry {
    fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
