//! Which models are served, changed while the server runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salver_core_servable::{ServableId, ServableState, StreamName, Version};
use salver_core_status::{Code, Quoted, Status};
use salver_manager_aspired::State;
use salver_manager_monitor::{Monitor, States};
use salver_server_config::{ModelList, ModelListFile};

use crate::loader::LoaderContext;
use crate::manager::Manager;
use crate::sources::{Sources, model_urls};
use crate::stage::{Heard, ModelStage};

/// Changes which models are served. Thread-safe; may outlive the server, and then changes nothing.
pub struct Control {
    pub(crate) context: Arc<LoaderContext>,
    pub(crate) stage: Arc<ModelStage>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) manager: Manager,
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
    /// INVALID_ARGUMENT: a model is to be loaded with a platform that is not there, or with another than before, or from a
    /// URL that cannot be understood; UNAVAILABLE: the server is stopping. Nothing was changed then.
    pub fn apply(&self, list: &ModelList) -> Result<(), Status> {
        let mut sources = self.sources.lock();
        let sources = sources.as_mut().ok_or_else(|| Status::unavailable("the server is stopping"))?;
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
        model_urls(list)?;
        self.context.settings.replace(list);
        sources.update(list)?;
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
        // Those of the list before are waited for too: until no request finds them, where they are to go.
        let names: BTreeSet<_> = {
            let before = self.list.lock();
            before.models.iter().chain(&list.models).map(|entry| entry.name.clone()).collect()
        };
        let counts: Vec<_> =
            names.into_iter().map(|name| (name.clone(), self.stage.heard(&name).count)).collect();
        self.apply(list)?;
        self.wait(&counts, list, deadline.unwrap_or_else(|| Instant::now() + LONG))
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

    fn wait(&self, before: &[(StreamName, u64)], list: &ModelList, deadline: Instant) -> Result<(), Status> {
        /// What changes between a look at the manager and one at the monitor is seen at the next look.
        const LOOK: Duration = Duration::from_millis(20);
        let late = || Status::deadline_exceeded("the deadline passed before every model was available");
        if !self.stage.wait_until_heard(before, deadline) {
            return Err(late());
        }
        loop {
            let models: Vec<_> = before.iter().map(|(name, _)| self.model(name)).collect();
            let look = deadline.min(Instant::now() + LOOK);
            if self.monitor.wait_until(|states| models.iter().all(|model| model.is_told(states)), look)
                && models.iter().all(Model::is_settled)
            {
                return self.outcome(&models, list);
            }
            if look == deadline {
                return Err(late());
            }
            // Where all was told, and nothing was settled yet, there was no wait.
            self.monitor.wait_until(|_| false, deadline.min(Instant::now() + LOOK));
        }
    }

    /// What should be, and what the manager has decided.
    fn model(&self, name: &StreamName) -> Model {
        let heard = self.stage.heard(name);
        let known = self.monitor.versions(name.as_str()).unwrap_or_default();
        let versions: BTreeSet<_> =
            heard.versions.iter().copied().chain(known.iter().map(|status| status.version)).collect();
        let state = |version: Version| {
            let state = self.manager.state(&ServableId::new(name.clone(), version))?;
            Some((version, state))
        };
        Model { name: name.clone(), heard, decided: versions.into_iter().filter_map(state).collect() }
    }

    fn outcome(&self, models: &[Model], list: &ModelList) -> Result<(), Status> {
        let is_listed = |model: &&Model| list.models.iter().any(|entry| entry.name == model.name);
        let failures: Vec<_> = self.monitor.read(|states| {
            models.iter().filter(is_listed).filter_map(|model| model.failure(states)).collect()
        });
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

/// One model: what should be, and what the manager has decided of its versions, told or not.
struct Model {
    name: StreamName,
    heard: Heard,
    decided: Vec<(Version, Option<State>)>,
}

impl Model {
    /// Whether nothing is under way that a reload waits for: a version that goes is not waited for any longer than until
    /// no request finds it.
    fn is_settled(&self) -> bool {
        let is_wanted = |version: &Version| self.heard.versions.contains(version);
        self.heard.trouble.is_some()
            || self
                .decided
                .iter()
                .filter(|(version, _)| is_wanted(version))
                .all(|(_, state)| matches!(state, Some(State::Ready | State::Failed | State::Retrying)))
    }

    /// Whether everybody knows of what was decided.
    fn is_told(&self, states: &States) -> bool {
        let told = |version: Version| {
            let stream = states.stream(self.name.as_str())?;
            stream.versions.iter().find(|status| status.version == version).map(|status| status.state)
        };
        self.decided.iter().all(|(version, state)| match state {
            Some(State::Ready) => told(*version) == Some(ServableState::Available),
            Some(State::Failed) => told(*version) == Some(ServableState::End),
            _ => told(*version) != Some(ServableState::Available),
        })
    }

    /// Why it is not available as it should be; `None` where it is.
    fn failure(&self, states: &States) -> Option<String> {
        let failed = || {
            let stream = states.stream(self.name.as_str())?;
            let wanted =
                stream.versions.iter().filter(|status| self.heard.versions.contains(&status.version));
            let failed = wanted.filter(|status| status.state != ServableState::Available);
            failed.filter_map(|status| status.error.clone()).next()
        };
        let reason = match &self.heard.trouble {
            Some(trouble) => trouble.to_string(),
            None if self.heard.versions.is_empty() => "there is no version".to_owned(),
            None => failed()?.to_string(),
        };
        Some(format!("{} due to error: {reason}", self.name))
    }
}
