//! Batching of steps inside a model.

use std::sync::Arc;

use salver_core_observe::Observer;
use salver_core_platform::{BatchQueue, Batcher, Model, Options};
use salver_core_status::Status;

use crate::Pools;

/// Opens queues for steps inside models, in pools of their own.
pub struct SubBatcher {
    _pools: Arc<Pools>,
    _observer: Arc<dyn Observer>,
}

impl SubBatcher {
    /// Opens queues in `pools`, which must not be those of whole models: a model that runs in a batch waits for its
    /// steps' batches.
    pub fn new(pools: Arc<Pools>, observer: Arc<dyn Observer>) -> Self {
        Self { _pools: pools, _observer: observer }
    }
}

impl Batcher for SubBatcher {
    fn open(
        &self,
        name: &str,
        step: Arc<dyn Model>,
        options: &Options,
    ) -> Result<Box<dyn BatchQueue>, Status> {
        salver_core_platform::unbatched().open(name, step, options)
    }
}
