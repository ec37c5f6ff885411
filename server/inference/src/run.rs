//! One call, from tensors to tensors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use salver_core_platform::{CancelFlag, RequestContext, RunRequest};
use salver_core_servable::{Handle, ServableId};
use salver_core_signature::{Signature, TensorSpec};
use salver_core_status::Status;
use salver_core_tensor::{Tensor, TensorView};

use crate::{Api, Served, batched};

/// A request whose model is resolved and whose tensors are read.
pub struct Call {
    /// Which interface it came in by.
    pub api: Api,
    /// The version that answers. Held until the answer is dropped.
    pub served: Handle<Served>,
    /// Which of its signatures, by position.
    pub signature: usize,
    /// The inputs by name, not checked yet.
    pub inputs: Vec<(String, Tensor)>,
    /// The outputs wanted, by name; empty for all.
    pub outputs: Vec<String>,
    /// Deadline, trace, parameters. The flag is set when the future of the run is dropped.
    pub context: RequestContext,
}

/// What a model computed. Its tensors may be the model's memory: drop it when they are encoded.
pub struct Answer {
    signature: usize,
    selected: Vec<usize>,
    tensors: Vec<Tensor>,
    /// Dropped last: the tensors may be the model's memory, and keep what they belong to loaded.
    served: Handle<Served>,
}

/// Bytes of a tensor, and the answer they belong to. Dropped in this order.
struct Held {
    bytes: Bytes,
    _answer: Arc<Answer>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("id", self.id()).field("tensors", &self.tensors).finish()
    }
}

impl Answer {
    /// Which version answered.
    pub fn id(&self) -> &ServableId {
        self.served.id()
    }

    /// Which signature was called.
    pub fn signature(&self) -> Option<&Signature> {
        self.served.signatures().as_slice().get(self.signature)
    }

    /// Bytes of one of its tensors that keep the answer, and with it the model whose memory they may be, until they are
    /// dropped.
    pub fn hold(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _answer: Arc::clone(self) })
    }

    /// The outputs in the order asked for, each with its declaration.
    pub fn outputs(&self) -> impl Iterator<Item = (&TensorSpec, &Tensor)> {
        let specs = self.signature().map_or(&[][..], |signature| &signature.outputs);
        self.selected.iter().filter_map(|&index| specs.get(index)).zip(&self.tensors)
    }
}

pub(crate) async fn run(call: Call) -> Result<Answer, Status> {
    let start = Instant::now();
    let (api, served) = (call.api, call.served.clone());
    let outcome = match Job::of(call, start) {
        Ok(job) => job.run_anywhere().await,
        Err(status) => Err(status),
    };
    note(&served, api, start, &outcome);
    outcome
}

pub(crate) fn run_blocking(call: Call) -> Result<Answer, Status> {
    let start = Instant::now();
    let (api, served) = (call.api, call.served.clone());
    let outcome = Job::of(call, start).and_then(Job::run_here);
    note(&served, api, start, &outcome);
    outcome
}

fn note(served: &Served, api: Api, start: Instant, outcome: &Result<Answer, Status>) {
    let code = outcome.as_ref().err().map(Status::code);
    served.instruments.answered(api, start.elapsed(), code);
}

/// Runs the job on a thread that may block, when its turn comes; leaves it behind when the deadline passes.
async fn run_on_a_thread(job: Job) -> Result<Answer, Status> {
    let deadline = job.context.deadline;
    let abandon = AbandonOnDrop(job.context.cancel.clone());
    let served = job.served.clone();
    let queued = Queued::new(job.served.clone());
    let work = async move {
        let run = move || {
            drop(queued);
            job.run()
        };
        served.gate.run(run).await?
    };
    let outcome = match deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded("the deadline passed before the model answered"))
        }),
    };
    // On success nobody looks at the flag any more; on failure the model may still be running.
    drop(abandon);
    outcome
}

/// Everything a run needs, owned, so that it can go to another thread.
struct Job {
    served: Handle<Served>,
    signature: usize,
    inputs: Vec<Option<Tensor>>,
    selected: Vec<usize>,
    context: RequestContext,
}

impl Job {
    /// The job that a call asks for, where its inputs and outputs fit.
    fn of(call: Call, now: Instant) -> Result<Self, Status> {
        let Call { api: _, served, signature: index, inputs, outputs, context } = call;
        let signature = served.signatures().as_slice().get(index);
        let signature =
            signature.ok_or_else(|| Status::internal(format!("the model has no signature {index}")))?;
        let selected = signature.select_outputs(&outputs)?;
        let inputs = signature.bind(inputs)?;
        context.lend().check(now)?;
        Ok(Self { served, signature: index, inputs, selected, context })
    }

    /// With others, at once on this thread where that is not for long, or on a thread that may block.
    async fn run_anywhere(self) -> Result<Answer, Status> {
        let Some(session) = self.served.session(self.signature) else {
            if self.served.pace.is_within(self.served.options.inline_limit) {
                return self.run();
            }
            return run_on_a_thread(self).await;
        };
        let Self { ref served, signature, inputs, selected, context } = self;
        let call = batched::call(served, signature, inputs, selected.clone(), context);
        let tensors = batched::run(session, served, call).await?;
        Ok(Answer { served: self.served, signature, selected, tensors })
    }

    /// With others, or on this thread.
    fn run_here(self) -> Result<Answer, Status> {
        let Some(session) = self.served.session(self.signature) else { return self.run() };
        let Self { ref served, signature, inputs, selected, context } = self;
        let tensors =
            session.run_blocking(batched::call(served, signature, inputs, selected.clone(), context))?;
        Ok(Answer { served: self.served, signature, selected, tensors })
    }

    fn run(self) -> Result<Answer, Status> {
        let Job { served, signature, inputs, selected, context } = self;
        let start = Instant::now();
        context.lend().check(start)?;
        let views: Vec<Option<TensorView<'_>>> =
            inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
        let request = RunRequest { signature, inputs: &views, outputs: &selected, context: context.lend() };
        // A plugin's panic never gets here; this is for models of an embedding program.
        let outcome = catch_unwind(AssertUnwindSafe(|| served.model.run(&request)))
            .unwrap_or_else(|_| Err(Status::internal("the model panicked")));
        let took = start.elapsed();
        served.pace.note(took);
        served.instruments.ran(took);
        let tensors = outcome.map_err(|status| status.context(format_args!("model `{}`", served.id())))?;
        if tensors.len() != selected.len() {
            let (found, wanted) = (tensors.len(), selected.len());
            return Err(Status::internal(format!(
                "model `{}` returned {found} of {wanted} outputs",
                served.id()
            )));
        }
        Ok(Answer { served, signature, selected, tensors })
    }
}

/// Sets a request's flag when it is dropped: its caller no longer waits.
struct AbandonOnDrop(CancelFlag);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Counts a request as waiting, while it lives.
struct Queued(Handle<Served>);

impl Queued {
    fn new(served: Handle<Served>) -> Self {
        served.instruments.queued(1.0);
        Self(served)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.instruments.queued(-1.0);
    }
}

#[cfg(test)]
mod tests;
