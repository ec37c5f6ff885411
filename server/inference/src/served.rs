//! One loaded version, with what the server keeps beside the model.

use std::sync::Arc;
use std::time::Duration;

use salver_batching_parameters::BatchingOptions;
use salver_batching_session::{BatchingStatus, Pools, Session};
use salver_core_observe::Observer;
use salver_core_platform::{Model, Options};
use salver_core_resource::Allocation;
use salver_core_servable::{HasPocket, Pocket, ServableId};
use salver_core_signature::SignatureSet;
use salver_core_status::Status;

use crate::GateOptions;
use crate::batched::Paced;
use crate::gate::Gate;
use crate::instruments::Instruments;
use crate::pace::Pace;

/// How a version's requests find threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedOptions {
    /// A run that is expected to take no longer runs on the thread that received the request: passing it to another
    /// thread would cost more than it saves. Zero gives every run a thread of its own.
    pub inline_limit: Duration,
    /// How many runs with threads of their own go on at once, and how many requests may wait.
    pub gate: GateOptions,
}

/// A loaded version of a model: what a handle leads to.
pub struct Served {
    pub(crate) model: Arc<dyn Model>,
    pub(crate) options: ServedOptions,
    pub(crate) pace: Arc<Pace>,
    pub(crate) gate: Gate,
    pub(crate) instruments: Instruments,
    /// Runs requests together, of those signatures that can be.
    batching: Option<Session>,
    platform: String,
    pocket: Pocket,
}

impl Served {
    /// Serves `model`, which `platform` has loaded.
    pub fn new(
        id: &ServableId,
        model: Box<dyn Model>,
        platform: impl Into<String>,
        options: ServedOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            model: Arc::from(model),
            options,
            pace: Arc::new(Pace::unknown()),
            gate: Gate::new(options.gate),
            instruments: Instruments::new(observer, id),
            batching: None,
            platform: platform.into(),
            pocket: Pocket::new(),
        }
    }

    /// The same, with its requests run together as `options` say, in one of `pools`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the options do not fit the model or the pools.
    pub fn batched(
        mut self,
        id: &ServableId,
        options: BatchingOptions,
        pools: &Pools,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, Status> {
        let (model, pace) = (Arc::clone(&self.model), Arc::clone(&self.pace));
        let paced = Paced { id: id.clone(), model, pace };
        self.batching = Some(Session::new(id, Arc::new(paced), options, pools, observer)?);
        Ok(self)
    }

    /// How its requests are run together, if they are.
    pub fn batching(&self) -> Option<BatchingStatus> {
        self.batching.as_ref().map(Session::status)
    }

    /// What runs the requests of a signature together, if they are.
    pub(crate) fn session(&self, signature: usize) -> Option<&Session> {
        self.batching.as_ref().filter(|session| session.is_batched(signature))
    }

    /// Whether the parameter `timeout` of a request is how long it may wait in a queue, and not how long it may take: where
    /// it waits in one, on a level that lets it say so.
    pub(crate) fn timeout_is_for_the_queue(&self, signature: usize, parameters: &Options) -> bool {
        let Some(session) = self.session(signature) else { return false };
        let queue = &session.options().queue;
        // What cannot be a priority is refused later.
        let said = parameters.int("priority").ok().flatten().filter(|priority| *priority > 0);
        let level =
            said.map_or(queue.default_level, |priority| usize::try_from(priority - 1).unwrap_or(usize::MAX));
        let level = queue.levels.get(level).or(queue.levels.last());
        level.is_some_and(|level| level.policy.allow_timeout_override)
    }

    /// The ways to call it.
    pub fn signatures(&self) -> &SignatureSet {
        self.model.signatures()
    }

    /// What it takes, where the model can tell.
    pub fn resources(&self) -> Option<Allocation> {
        self.model.resources()
    }

    /// Frees the model: nothing of it is held by threads that run batches any more when this returns. Blocks while a batch
    /// runs that nobody waits for any more.
    pub fn close(mut self) {
        if let Some(session) = self.batching.take() {
            session.close();
        }
    }

    /// The name of the platform that loaded it.
    pub fn platform(&self) -> &str {
        &self.platform
    }
}

impl HasPocket for Served {
    fn pocket(&self) -> &Pocket {
        &self.pocket
    }
}
