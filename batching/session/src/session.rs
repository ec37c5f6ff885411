//! The front.

use std::any::Any;
use std::collections::hash_map::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use salver_batching_parameters::BatchingOptions;
use salver_batching_queue::Refused;
use salver_batching_scheduler::{QueueHandle, Scheduler};
use salver_core_clock::Clock;
use salver_core_observe::Observer;
use salver_core_platform::{Cancellation, Model, RequestContext, RunContext};
use salver_core_servable::ServableId;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::Tensor;

use crate::front::Front;
use crate::group::Group;
use crate::instruments::Instruments;
use crate::names::Names;
use crate::order::Order;
use crate::reply::{Outcome, Waiter};
use crate::request::{Request, SessionTask, Terms};
use crate::signature::{self, take_said};
use crate::{BatchingStatus, Pools, SignatureStatus};

/// A model whose requests are run together. Thread-safe. Dropping it takes no more requests; those that wait are run.
pub struct Session {
    options: BatchingOptions,
    doors: Vec<Door>,
    clock: Arc<dyn Clock>,
    hashes: RandomState,
    alone: AtomicU64,
    /// Kept for others to share while this is there.
    pool: Arc<Scheduler<SessionTask>>,
}

/// One signature.
struct Door {
    front: Arc<Front>,
    queue: Result<Line, NotBatched>,
}

/// Where the requests of a signature wait.
struct Line {
    queue: QueueHandle<SessionTask>,
    /// Where answers are to leave in the order of requests.
    order: Option<Arc<Order>>,
}

/// One request for a session.
pub struct Call {
    /// Which of the model's signatures, by position.
    pub signature: usize,
    /// The signature's inputs in its order, checked against it; `None` where an optional one is left out.
    pub inputs: Vec<Option<Tensor>>,
    /// The outputs wanted, by position.
    pub outputs: Vec<usize>,
    /// Deadline, trace, parameters; `priority` and `timeout` among them count for the queue, and the model does not see
    /// them.
    pub context: RequestContext,
    /// Kept until the model has run and the outputs are handed over: what keeps the model loaded.
    pub keep: Box<dyn Any + Send>,
}

/// Why the requests of a signature are not batched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBatched(pub String);

/// What a call is at the door.
enum Admitted<'a> {
    Answered(Outcome),
    Task(&'a Line, SessionTask, Waiter),
}

/// What became of a call.
enum Entered {
    Answered(Outcome),
    Waits(Waiter),
}

impl Session {
    /// Stands before `model`, which is `id`'s.
    ///
    /// A model of which no signature can be batched is run as it is, which is logged as a warning.
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
        Self::named(&Names::of(id), model, options, pools, observer)
    }

    /// The same for what has other names: a step inside a model.
    pub(crate) fn named(
        names: &Names,
        model: Arc<dyn Model>,
        options: BatchingOptions,
        pools: &Pools,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, Status> {
        signature::check_unpad(model.signatures(), options.padding.as_ref())?;
        let pool = pools.get(&options.pool)?;
        let mut doors = Vec::new();
        for (position, spec) in model.signatures().iter().enumerate() {
            let front = Arc::new(Front {
                model: Arc::clone(&model),
                signature: position,
                spec: spec.clone(),
                pad: options.padding.as_ref().map(|padding| padding.value),
                unpad: signature::unpad(spec, options.padding.as_ref()),
                queue: options.queue.clone(),
                instruments: Instruments::new(names, &spec.name, &**observer),
                clock: Arc::clone(pools.clock()),
            });
            let queue = match signature::check(spec) {
                Err(reason) => Err(reason),
                Ok(()) => {
                    let consumer = Arc::clone(&front);
                    let queue = pool.add_queue(options.queue.clone(), consumer)?;
                    Ok(Line { queue, order: options.preserve_ordering.then(Arc::default) })
                }
            };
            doors.push(Door { front, queue });
        }
        warn_where_none(names, &doors);
        let (clock, hashes) = (Arc::clone(pools.clock()), RandomState::new());
        Ok(Self { options, doors, clock, hashes, alone: AtomicU64::new(0), pool })
    }

    /// The options in effect.
    pub fn options(&self) -> &BatchingOptions {
        &self.options
    }

    /// Whether the requests of a signature are batched.
    ///
    /// # Errors
    /// Why they are not: they are to be given to the model itself. A session that is given them runs them at once, where
    /// it is called.
    pub fn batches(&self, signature: usize) -> Result<(), NotBatched> {
        match self.doors.get(signature).map(|door| &door.queue) {
            Some(Ok(_)) => Ok(()),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(NotBatched(format!("the model has no signature {signature}"))),
        }
    }

    /// Whether the requests of a signature are batched; [`batches`](Self::batches) says why they are not.
    pub fn is_batched(&self, signature: usize) -> bool {
        self.doors.get(signature).is_some_and(|door| door.queue.is_ok())
    }

    /// What is in effect, and how it stands now.
    pub fn status(&self) -> BatchingStatus {
        let signature = |door: &Door| SignatureStatus {
            name: door.front.spec.name.clone(),
            not_batched: door.queue.as_ref().err().cloned(),
            waiting: door.queue.as_ref().map_or(0, |line| line.queue.len()),
            found: door.queue.as_ref().ok().and_then(|line| line.queue.limits()),
        };
        let signatures = self.doors.iter().map(signature).collect();
        let in_flight_limit = self.pool.in_flight_limit();
        BatchingStatus { options: self.options.clone(), in_flight_limit, signatures }
    }

    /// Runs a call to its outputs, with others. `may_run_here`: on the calling thread where nobody else waits. A future
    /// that is dropped sets the call's flag. Needs no runtime; whoever has one watches the deadline, and drops the future.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the inputs cannot be batched (their first dimensions differ, there are more rows than a batch
    /// may have), UNAVAILABLE or RESOURCE_EXHAUSTED where too many wait, CANCELLED, DEADLINE_EXCEEDED, and whatever the
    /// model fails with.
    pub async fn run(&self, call: Call, may_run_here: bool) -> Result<Vec<Tensor>, Status> {
        match self.enter(call, may_run_here, may_run_here)? {
            Entered::Answered(outcome) => outcome,
            Entered::Waits(waiter) => waiter.await,
        }
    }

    /// The same, on a thread that may block. Returns at the call's deadline.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_blocking(&self, call: Call) -> Result<Vec<Tensor>, Status> {
        self.wait(call, Cancellation::NEVER, false)
    }

    /// The same for a step of a run, whose context is lent: returns soon after its flag is set, too. Where nobody else waits
    /// the step is run on the calling thread, and neither flag nor deadline ends it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_lent(
        &self,
        signature: usize,
        inputs: Vec<Option<Tensor>>,
        outputs: &[usize],
        context: RunContext<'_>,
    ) -> Result<Vec<Tensor>, Status> {
        let owned = RequestContext {
            deadline: context.deadline,
            trace: context.trace,
            request_id: context.request_id.to_owned(),
            parameters: context.parameters.clone(),
            ..RequestContext::default()
        };
        let outputs = outputs.to_vec();
        let call = Call { signature, inputs, outputs, context: owned, keep: Box::new(()) };
        self.wait(call, context.cancel, true)
    }

    /// Takes no more calls, and waits until those that wait have run, and nothing of the model's is held here any more.
    /// Blocks; for ever where the model itself calls it from a run.
    pub fn close(self) {
        for Door { front, queue } in self.doors {
            drop(front);
            if let Ok(Line { queue, .. }) = queue {
                queue.close();
            }
        }
    }

    fn wait(&self, call: Call, cancel: Cancellation<'_>, may_run_here: bool) -> Outcome {
        let deadline = call.context.deadline;
        match self.enter(call, true, may_run_here)? {
            Entered::Answered(outcome) => outcome,
            Entered::Waits(waiter) => waiter.wait(deadline, cancel),
        }
    }

    /// Lets a call wait for its batch, or runs it at once: one that must run by itself where it `may_block`, one that
    /// nobody waits beside where it `may_run_here`.
    fn enter(&self, call: Call, may_block: bool, may_run_here: bool) -> Result<Entered, Status> {
        let (line, task, waiter) = match self.admit(call, may_block)? {
            Admitted::Answered(outcome) => return Ok(Entered::Answered(outcome)),
            Admitted::Task(line, task, waiter) => (line, task, waiter),
        };
        let scheduled =
            if may_run_here { line.queue.schedule_or_run(task) } else { line.queue.schedule(task) };
        match scheduled {
            Ok(()) => Ok(Entered::Waits(waiter)),
            Err(Refused { task, status, dropped: _ }) => {
                waiter.leave();
                task.refuse(&status);
                Err(status)
            }
        }
    }

    /// Makes a call a task for its signature's queue, unless it is run at once.
    fn admit(&self, call: Call, may_block: bool) -> Result<Admitted<'_>, Status> {
        let Call { signature, inputs, outputs, mut context, keep } = call;
        let Some(Door { front, queue }) = self.doors.get(signature) else {
            return Err(Status::internal(format!("the model has no signature {signature}")));
        };
        let now = self.clock.now();
        context.lend().check(now)?;
        let Ok(line) = queue else {
            return Ok(Admitted::Answered(front.run_alone(&inputs, &outputs, context.lend())));
        };
        let (said, parameters) = take_said(std::mem::take(&mut context.parameters))?;
        let is_ragged = front.pad.is_some();
        let (mut form, rows) = signature::read(&front.spec, &inputs, &outputs, parameters, is_ragged)?;
        if rows.is_none() {
            if may_block {
                let context = RunContext { parameters: &form.parameters.0, ..context.lend() };
                return Ok(Admitted::Answered(front.run_alone(&inputs, &outputs, context)));
            }
            form.alone = Some(self.alone.fetch_add(1, Ordering::Relaxed));
        }
        let place = line.order.as_ref().map(Order::place);
        let terms = Terms {
            group: Group::new(form, &self.hashes),
            rows: rows.unwrap_or(1),
            level: said.level,
            timeout: said.timeout,
            since: now,
            place: place.clone(),
        };
        let cancel = context.cancel.clone();
        let request = Request::new(front, terms, inputs, outputs, context, keep);
        let waiter = Waiter::new(Arc::clone(&request.reply), cancel, place);
        Ok(Admitted::Task(line, SessionTask::whole(request), waiter))
    }
}

fn warn_where_none(names: &Names, doors: &[Door]) {
    if doors.iter().any(|door| door.queue.is_ok()) {
        return;
    }
    let reason = doors.iter().find_map(|door| door.queue.as_ref().err());
    let reason = reason.map_or("it has no signature", |NotBatched(reason)| reason);
    let (model, version) = (Quoted(&names.model), &names.version);
    tracing::warn!(%model, version, reason, "requests are not batched: no signature can be");
}

#[cfg(test)]
mod tests;
