//! Which models are served, changed while the server runs.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salver_core_servable::{ServableState, StreamName};
use salver_core_status::{Code, Quoted, Status};
use salver_manager_monitor::{Monitor, States};
use salver_server_config::{ModelList, ModelListFile};

use crate::loader::LoaderContext;
use crate::sources::Sources;
use crate::stage::{Heard, ModelStage};

/// Changes which models are served. Thread-safe; may outlive the server, and then changes nothing.
pub struct Control {
    pub(crate) context: Arc<LoaderContext>,
    pub(crate) stage: Arc<ModelStage>,
    pub(crate) monitor: Arc<Monitor>,
    /// `None` once the server stops. The lock also makes changes take turns.
    pub(crate) sources: Mutex<Option<Sources>>,
    pub(crate) stopped: Condvar,
    pub(crate) list: Mutex<ModelList>,
}

/// Long enough for any load; an [`Instant`] has an end.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

impl Control {
    /// Serves the models of `list` from now on, in place of those of the list before. Models of repositories stay.
    ///
    /// Returns as soon as the change is under way: [`wait`](Self::wait) waits for it.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: a model is to be loaded with a platform that is not there, or with another than before;
    /// UNAVAILABLE: the server is stopping. Nothing was changed then.
    pub fn apply(&self, list: &ModelList) -> Result<(), Status> {
        let sources = self.sources.lock();
        let sources = sources.as_ref().ok_or_else(|| Status::unavailable("the server is stopping"))?;
        let mut before = self.list.lock();
        for entry in &list.models {
            let Some(platform) = &entry.platform else { continue };
            let in_list = |message: String| {
                let name = Quoted(entry.name.as_str()).to_string();
                Status::invalid_argument(format!("model {name}: {message}"))
            };
            self.context.platforms.check(platform).map_err(|status| in_list(status.message().to_owned()))?;
            let old =
                before.models.iter().find(|old| old.name == entry.name).and_then(|old| old.platform.as_ref());
            if let Some(old) = old.filter(|old| *old != platform) {
                return Err(in_list(format!(
                    "model_platform is {}, it was {} and cannot change",
                    Quoted(platform),
                    Quoted(old)
                )));
            }
        }
        self.context.settings.replace(list);
        sources.update(list);
        tracing::info!(models = list.models.len(), "the list of models was changed");
        before.clone_from(list);
        Ok(())
    }

    /// Serves the models of `list` from now on, and blocks until each is available or has failed, or until the
    /// deadline.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); UNKNOWN that names the models that did not become available, and why, as in
    /// TensorFlow Serving; DEADLINE_EXCEEDED. In the last two cases the list counts all the same.
    pub fn reload(&self, list: &ModelList, deadline: Option<Instant>) -> Result<(), Status> {
        let counts = self.counts(list);
        self.apply(list)?;
        self.wait(&counts, deadline.unwrap_or_else(|| Instant::now() + LONG))
    }

    /// Stops the sources. What is loaded stays.
    pub(crate) fn stop(&self) {
        let sources = self.sources.lock().take();
        self.stopped.notify_all();
        drop(sources);
    }

    /// Reads a list of models again and again, and applies it when it changes, until the server stops. A list that
    /// cannot be is told once, and changes nothing.
    ///
    /// # Errors
    /// The thread that does this cannot be started.
    pub(crate) fn follow(self: &Arc<Self>, file: ModelListFile) -> Result<(), Status> {
        let control = Arc::clone(self);
        let mut last = Ok(());
        let follow = move || {
            while control.is_running_after(file.poll_interval) {
                let outcome = ModelList::read(&file.path).and_then(|list| control.apply_changed(&list));
                if let Err(error) = &outcome
                    && last != outcome
                {
                    tracing::error!(%error, "the list of models cannot be taken, the last one counts");
                }
                last = outcome;
            }
        };
        let thread = thread::Builder::new().name("salver-model-list".to_owned());
        thread.spawn(follow).map_err(|error| Status::internal(format!("starting a thread: {error}")))?;
        Ok(())
    }

    /// Waits so long, or until the server stops; returns whether it goes on.
    fn is_running_after(&self, time: Duration) -> bool {
        let mut sources = self.sources.lock();
        if sources.is_some() {
            self.stopped.wait_for(&mut sources, time);
        }
        sources.is_some()
    }

    fn apply_changed(&self, list: &ModelList) -> Result<(), Status> {
        if *self.list.lock() == *list {
            return Ok(());
        }
        self.apply(list)
    }

    /// How much was heard so far of each model of a list.
    fn counts(&self, list: &ModelList) -> Vec<(StreamName, u64)> {
        let names = list.models.iter().map(|entry| entry.name.clone());
        names.map(|name| (name.clone(), self.stage.heard(&name).count)).collect()
    }

    fn wait(&self, counts: &[(StreamName, u64)], deadline: Instant) -> Result<(), Status> {
        let late = || Status::deadline_exceeded("the deadline passed before every model was available");
        if !self.stage.wait_until_heard(counts, deadline) {
            return Err(late());
        }
        let models: Vec<_> = counts.iter().map(|(name, _)| (name.clone(), self.stage.heard(name))).collect();
        let is_over = |states: &States| models.iter().all(|(name, heard)| is_settled(states, name, heard));
        if !self.monitor.wait_until(is_over, deadline) {
            return Err(late());
        }
        let failures: Vec<_> = self
            .monitor
            .read(|states| models.iter().filter_map(|(name, heard)| failure(states, name, heard)).collect());
        match failures.len() {
            0 => Ok(()),
            count => {
                let message =
                    format!("{count} model(s) did not become available: {{{}}}", failures.join(", "));
                Err(Status::new(Code::Unknown, message))
            }
        }
    }
}

/// Whether each version that there should be is available, or failed.
fn is_settled(states: &States, name: &StreamName, heard: &Heard) -> bool {
    let Some(stream) = states.stream(name.as_str()) else { return heard.versions.is_empty() };
    let is_settled = |status: &salver_manager_monitor::VersionStatus| match status.state {
        ServableState::Available => true,
        ServableState::Start | ServableState::Loading | ServableState::End => status.error.is_some(),
        ServableState::Unloading => false,
    };
    heard.trouble.is_some()
        || heard.versions.iter().all(|version| {
            stream.versions.iter().find(|status| status.version == *version).is_some_and(is_settled)
        })
}

/// Why a model is not available as it should be; `None` where it is.
fn failure(states: &States, name: &StreamName, heard: &Heard) -> Option<String> {
    let failed = || {
        let stream = states.stream(name.as_str())?;
        let wanted = stream.versions.iter().filter(|status| heard.versions.contains(&status.version));
        let failed = wanted.filter(|status| status.state != ServableState::Available);
        failed.filter_map(|status| status.error.clone()).next()
    };
    let reason = match &heard.trouble {
        Some(trouble) => trouble.to_string(),
        None if heard.versions.is_empty() => "there is no version".to_owned(),
        None => failed()?.to_string(),
    };
    Some(format!("{name} due to error: {reason}"))
}
