//! Calls that are run together with others.

use std::sync::Arc;
use std::time::Instant;

use salver_batching_session::{Call, Session};
use salver_core_platform::{Model, RequestContext, RunRequest};
use salver_core_resource::Allocation;
use salver_core_servable::{Handle, ServableId};
use salver_core_signature::SignatureSet;
use salver_core_status::Status;
use salver_core_tensor::Tensor;

use crate::Served;
use crate::pace::Pace;

/// A model that notes how long its runs take, and says of errors whose they are.
pub(crate) struct Paced {
    pub(crate) id: ServableId,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) pace: Arc<Pace>,
}

impl Model for Paced {
    fn signatures(&self) -> &SignatureSet {
        self.model.signatures()
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let start = Instant::now();
        let outcome = self.model.run(request);
        self.pace.note(start.elapsed());
        outcome.map_err(|status| status.context(format_args!("model `{}`", self.id)))
    }

    fn resources(&self) -> Option<Allocation> {
        self.model.resources()
    }
}

/// What is batched keeps the version loaded, also when nobody waits for it any more.
pub(crate) fn call(
    served: &Handle<Served>,
    signature: usize,
    inputs: Vec<Option<Tensor>>,
    outputs: Vec<usize>,
    context: RequestContext,
) -> Call {
    Call { signature, inputs, outputs, context, keep: Box::new(served.clone()) }
}

/// Runs a call with others, or at once on this thread where nobody else waits and a run is expected to be short; leaves it
/// behind when the deadline passes.
pub(crate) async fn run(session: &Session, served: &Served, call: Call) -> Result<Vec<Tensor>, Status> {
    let deadline = call.context.deadline;
    let may_run_here = served.pace.is_within(served.options.inline_limit);
    let answered = session.run(call, may_run_here);
    match deadline {
        None => answered.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), answered).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded("the deadline passed before the model answered"))
        }),
    }
}

#[cfg(test)]
mod tests;
