//! One loaded version, with what the server keeps beside the model.

use std::sync::Arc;
use std::time::Duration;

use salver_batching_parameters::BatchingOptions;
use salver_batching_session::{BatchingStatus, Pools, Session};
use salver_core_observe::Observer;
use salver_core_platform::Model;
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
        let paced = Paced { model: Arc::clone(&self.model), pace: Arc::clone(&self.pace) };
        self.batching = Some(Session::new(id, Arc::new(paced), options, pools, observer)?);
        Ok(self)
    }

    /// How its requests are run together, if they are.
    pub fn batching(&self) -> Option<BatchingStatus> {
        self.batching.as_ref().map(Session::status)
    }

    /// What runs the requests of a signature together, if they are.
    pub(crate) fn session(&self, signature: usize) -> Option<&Session> {
        self.batching.as_ref().filter(|session| session.batches(signature).is_ok())
    }

    /// Whether a request's parameter `timeout` is how long it may wait in a queue, and not how long it may take.
    pub(crate) fn timeouts_are_for_the_queue(&self) -> bool {
        let session = self.batching.as_ref();
        session.is_some_and(|session| {
            session.options().queue.levels.iter().any(|level| level.policy.allow_timeout_override)
        })
    }

    /// The ways to call it.
    pub fn signatures(&self) -> &SignatureSet {
        self.model.signatures()
    }

    /// What it takes, where the model can tell.
    pub fn resources(&self) -> Option<Allocation> {
        self.model.resources()
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
