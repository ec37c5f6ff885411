//! The front.

use std::any::Any;
use std::sync::Arc;

use salver_batching_parameters::BatchingOptions;
use salver_batching_queue::Task;
use salver_core_observe::Observer;
use salver_core_platform::{Model, RequestContext, RunRequest};
use salver_core_servable::ServableId;
use salver_core_status::Status;
use salver_core_tensor::Tensor;

use crate::Pools;

/// A model whose requests are run together.
pub struct Session {
    model: Arc<dyn Model>,
    options: BatchingOptions,
}

/// One request for a session.
pub struct Call {
    /// Which of the model's signatures, by position.
    pub signature: usize,
    /// The signature's inputs in its order, checked against it; `None` where an optional one is left out.
    pub inputs: Vec<Option<Tensor>>,
    /// The outputs wanted, by position.
    pub outputs: Vec<usize>,
    /// Deadline, trace, parameters; `priority` and `timeout` among them count for the queue.
    pub context: RequestContext,
    /// Kept until the model has run and the outputs are handed over: what keeps the model loaded.
    pub keep: Box<dyn Any + Send>,
}

/// Why the requests of a signature are not batched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBatched(pub String);

/// A request, or a part of one, that waits in a queue.
pub struct SessionTask {
    _call: Call,
}

impl Task for SessionTask {
    type Key = ();

    fn key(&self) -> Self::Key {}

    fn size(&self) -> usize {
        1
    }

    fn split(self, _sizes: &[usize]) -> Vec<Self> {
        vec![self]
    }
}

impl Session {
    /// Stands before `model`, which is `id`'s.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the options do not fit the model or the pools.
    pub fn new(
        id: &ServableId,
        model: Arc<dyn Model>,
        options: BatchingOptions,
        pools: &Pools,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, Status> {
        let _ = (id, pools, observer);
        Ok(Self { model, options })
    }

    /// The options in effect.
    pub fn options(&self) -> &BatchingOptions {
        &self.options
    }

    /// Whether the requests of a signature are batched.
    ///
    /// # Errors
    /// Why they are not: they are to be given to the model itself.
    pub fn batches(&self, signature: usize) -> Result<(), NotBatched> {
        let _ = signature;
        Ok(())
    }

    /// Runs a call to its outputs, with others. `may_run_here`: on the calling thread where nobody else waits. A future
    /// that is dropped sets the call's flag.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the inputs cannot be batched (their first dimensions differ, there are more rows than a batch
    /// may have), UNAVAILABLE or RESOURCE_EXHAUSTED where too many wait, CANCELLED, DEADLINE_EXCEEDED, and whatever the
    /// model fails with.
    pub async fn run(&self, call: Call, may_run_here: bool) -> Result<Vec<Tensor>, Status> {
        let _ = may_run_here;
        self.run_blocking(call)
    }

    /// The same, on a thread that may block.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_blocking(&self, call: Call) -> Result<Vec<Tensor>, Status> {
        let views: Vec<_> = call.inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
        let context = call.context.lend();
        let (signature, outputs) = (call.signature, &call.outputs[..]);
        self.model.run(&RunRequest { signature, inputs: &views, outputs, context })
    }
}
