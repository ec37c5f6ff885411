//! One loaded version, with what the server keeps beside the model.

use std::sync::Arc;
use std::time::Duration;

use salver_core_observe::Observer;
use salver_core_platform::Model;
use salver_core_resource::Allocation;
use salver_core_servable::{HasPocket, Pocket, ServableId};
use salver_core_signature::SignatureSet;

use crate::GateOptions;
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
    pub(crate) model: Box<dyn Model>,
    pub(crate) options: ServedOptions,
    pub(crate) pace: Pace,
    pub(crate) gate: Gate,
    pub(crate) instruments: Instruments,
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
            model,
            options,
            pace: Pace::unknown(),
            gate: Gate::new(options.gate),
            instruments: Instruments::new(observer, id),
            platform: platform.into(),
            pocket: Pocket::new(),
        }
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
