//! Batching of steps inside a model.

use std::sync::{Arc, LazyLock};

use salver_core_servable::ServableId;
use salver_core_status::Status;
use salver_core_tensor::Tensor;

use crate::{Model, Options, RunContext, RunRequest};

/// Opens queues in which the steps of many requests are run together: a model whose work has a step that costs little
/// more for many than for one, such as one token of each sequence that is being decoded, opens a queue for it when it is
/// loaded, and its runs give their steps to the queue.
pub trait Batcher: Send + Sync + 'static {
    /// Opens a queue for `step` of `model`, which is run like any model: with inputs that are joined along dimension 0, and
    /// outputs that are split along it. `model` and `name` are for metrics and messages. `options` are those of batching, by
    /// their names: `max_batch_size`, `batch_timeout_micros` and so on.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the options are wrong, or the step's signatures cannot be batched.
    fn open(
        &self,
        model: &ServableId,
        name: &str,
        step: Arc<dyn Model>,
        options: &Options,
    ) -> Result<Box<dyn BatchQueue>, Status>;
}

/// A queue for one step. Callable from many threads at once. Dropping it waits for the steps that are under way, and drops
/// the step.
pub trait BatchQueue: Send + Sync {
    /// Runs the step for these inputs, with whoever else is there. Blocks until it is done.
    ///
    /// A step that is called by another step is run at once, by itself, on the thread that asks for it: what runs steps must
    /// not wait for them.
    ///
    /// # Errors
    /// CANCELLED or DEADLINE_EXCEEDED on the context's word, UNAVAILABLE where too many wait, and whatever the step fails
    /// with.
    fn run(&self, request: StepRequest<'_>) -> Result<Vec<Tensor>, Status>;
}

/// What a step is given to compute.
#[derive(Clone, Debug)]
pub struct StepRequest<'a> {
    /// Which of the step's signatures, by position.
    pub signature: usize,
    /// The signature's inputs in its order; `None` where an optional one is left out.
    pub inputs: Vec<Option<Tensor>>,
    /// The outputs wanted, by position.
    pub outputs: &'a [usize],
    /// The context of the run that the step is part of. Steps whose parameters differ do not share a batch: give none where
    /// the step needs none.
    pub context: RunContext<'a>,
}

/// Where nobody batches: every step is run at once, by itself, on the thread that asks for it.
pub fn unbatched() -> &'static Arc<dyn Batcher> {
    static UNBATCHED: LazyLock<Arc<dyn Batcher>> = LazyLock::new(|| Arc::new(Unbatched));
    &UNBATCHED
}

struct Unbatched;

struct Alone(Arc<dyn Model>);

impl Batcher for Unbatched {
    fn open(
        &self,
        _model: &ServableId,
        _name: &str,
        step: Arc<dyn Model>,
        _options: &Options,
    ) -> Result<Box<dyn BatchQueue>, Status> {
        Ok(Box::new(Alone(step)))
    }
}

impl BatchQueue for Alone {
    fn run(&self, request: StepRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let StepRequest { signature, inputs, outputs, context } = request;
        let views: Vec<_> = inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
        self.0.run(&RunRequest { signature, inputs: &views, outputs, context })
    }
}
