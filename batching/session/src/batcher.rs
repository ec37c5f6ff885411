//! Batching of steps inside a model.

use std::cell::Cell;
use std::sync::Arc;

use salver_batching_parameters::Parameters;
use salver_core_observe::Observer;
use salver_core_platform::{
    BatchQueue, Batcher, Model, Options, RunContext, RunRequest, StepRequest, unbatched,
};
use salver_core_servable::ServableId;
use salver_core_signature::SignatureSet;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::Tensor;

use crate::names::Names;
use crate::{NotBatched, Pools, Session};

thread_local! {
    /// Whether this thread runs a step.
    static RUNS_A_STEP: Cell<bool> = const { Cell::new(false) };
}

/// Opens queues for steps inside models, in pools of their own.
///
/// A step whose options name no pool has one to itself, of one thread where they say nothing else: while it runs a batch,
/// whoever comes is in the next.
pub struct SubBatcher {
    pools: Arc<Pools>,
    observer: Arc<dyn Observer>,
}

impl SubBatcher {
    /// Opens queues in `pools`, which must not be those of whole models: a model that runs in a batch waits for its
    /// steps' batches.
    pub fn new(pools: Arc<Pools>, observer: Arc<dyn Observer>) -> Self {
        Self { pools, observer }
    }
}

impl Batcher for SubBatcher {
    fn open(
        &self,
        model: &ServableId,
        name: &str,
        step: Arc<dyn Model>,
        options: &Options,
    ) -> Result<Box<dyn BatchQueue>, Status> {
        let shown = format!("step {} of model {}", Quoted(name), Quoted(&model.to_string()));
        let mut parameters = Parameters::from_options(options).map_err(|status| status.context(&shown))?;
        if parameters.thread_pool_name.is_none() {
            parameters.thread_pool_name = Some(format!("{model}/{name}"));
            parameters.num_batch_threads.get_or_insert(1);
        }
        let Some(resolved) = parameters.resolve().map_err(|status| status.context(&shown))? else {
            return unbatched().open(model, name, step, options);
        };
        let names = Names { step: Some(name.to_owned()), ..Names::of(model) };
        let step: Arc<dyn Model> = Arc::new(Step(step));
        let session = Session::named(&names, Arc::clone(&step), resolved, &self.pools, &self.observer)
            .map_err(|status| status.context(&shown))?;
        for (position, signature) in step.signatures().iter().enumerate() {
            if let Err(NotBatched(reason)) = session.batches(position) {
                let signature = Quoted(&signature.name);
                return Err(Status::invalid_argument(format!("{shown}: signature {signature}: {reason}")));
            }
        }
        Ok(Box::new(StepQueue { step, session: Some(session) }))
    }
}

/// The queue of a step.
struct StepQueue {
    step: Arc<dyn Model>,
    /// There until it is dropped.
    session: Option<Session>,
}

impl BatchQueue for StepQueue {
    fn run(&self, request: StepRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let StepRequest { signature, inputs, outputs, context } = request;
        match &self.session {
            Some(session) if !RUNS_A_STEP.get() => session.run_lent(signature, inputs, outputs, context),
            // What runs steps does not wait for them.
            _ => run_alone(&*self.step, signature, &inputs, outputs, context),
        }
    }
}

impl Drop for StepQueue {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && !RUNS_A_STEP.get()
        {
            session.close();
        }
    }
}

fn run_alone(
    step: &dyn Model,
    signature: usize,
    inputs: &[Option<Tensor>],
    outputs: &[usize],
    context: RunContext<'_>,
) -> Result<Vec<Tensor>, Status> {
    let views: Vec<_> = inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
    step.run(&RunRequest { signature, inputs: &views, outputs, context })
}

/// A step that marks the thread it runs on.
struct Step(Arc<dyn Model>);

impl Model for Step {
    fn signatures(&self) -> &SignatureSet {
        self.0.signatures()
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let _mark = Mark(RUNS_A_STEP.replace(true));
        self.0.run(request)
    }
}

/// Takes the mark off again, also when the step panics.
struct Mark(bool);

impl Drop for Mark {
    fn drop(&mut self) {
        RUNS_A_STEP.set(self.0);
    }
}

#[cfg(test)]
mod tests;
