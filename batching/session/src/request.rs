//! A request on its way through a queue, whole or in parts.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use salver_batching_concat as concat;
use salver_batching_queue::{GivenUp, Task};
use salver_core_platform::RequestContext;
use salver_core_signature::Signature;
use salver_core_status::Status;
use salver_core_tensor::Tensor;

use crate::front::Front;
use crate::group::Group;
use crate::order::Place;
use crate::reply::{Outcome, Reply};

/// A request, held by its parts. The last of them to go drops it, and with it what keeps the model loaded.
pub(crate) struct Request {
    pub(crate) group: Group,
    pub(crate) inputs: Vec<Option<Tensor>>,
    pub(crate) outputs: Vec<usize>,
    /// Its parameters are in the group.
    pub(crate) context: RequestContext,
    pub(crate) rows: usize,
    pub(crate) level: Option<usize>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) since: Instant,
    pub(crate) reply: Arc<Reply>,
    pub(crate) place: Option<Place>,
    pub(crate) front: Arc<Front>,
    progress: Mutex<Progress>,
    is_answered: AtomicBool,
    is_waiting: AtomicBool,
    _keep: Mutex<Box<dyn Any + Send>>,
}

/// What has come of a request's parts.
#[derive(Default)]
struct Progress {
    rows: usize,
    /// Outputs of parts, by the row they begin at.
    parts: Vec<(usize, Vec<Tensor>)>,
}

/// What a request is made from beside its tensors.
pub(crate) struct Terms {
    pub(crate) group: Group,
    pub(crate) rows: usize,
    pub(crate) level: Option<usize>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) since: Instant,
    pub(crate) place: Option<Place>,
}

/// A request, or a part of one, that waits in a queue. Dropping it unanswered answers INTERNAL.
pub struct SessionTask {
    request: Arc<Request>,
    /// The first of the request's rows that is this part's.
    start: usize,
    rows: usize,
    is_settled: bool,
}

impl Request {
    pub(crate) fn new(
        front: &Arc<Front>,
        terms: Terms,
        inputs: Vec<Option<Tensor>>,
        outputs: Vec<usize>,
        context: RequestContext,
        keep: Box<dyn Any + Send>,
    ) -> Self {
        let Terms { group, rows, level, timeout, since, place } = terms;
        front.instruments.waiting.shift(1.0);
        Self {
            group,
            inputs,
            outputs,
            context,
            rows,
            level,
            timeout,
            since,
            reply: Arc::default(),
            place,
            front: Arc::clone(front),
            progress: Mutex::default(),
            is_answered: AtomicBool::new(false),
            is_waiting: AtomicBool::new(true),
            _keep: Mutex::new(keep),
        }
    }

    /// Notes that it, or the first of its parts, has left the queue. True the first time.
    pub(crate) fn leave_queue(&self) -> bool {
        let is_first = self.is_waiting.swap(false, Ordering::Relaxed);
        if is_first {
            self.front.instruments.waiting.shift(-1.0);
        }
        is_first
    }

    /// Whether the caller of this is the one to answer.
    fn claim(&self) -> bool {
        !self.is_answered.swap(true, Ordering::AcqRel)
    }

    /// Takes in the outputs of the part that begins at `start`, and answers when it was the last.
    fn take_in(self: &Arc<Self>, start: usize, rows: usize, outputs: Vec<Tensor>) {
        let outcome = if rows == self.rows {
            Ok(outputs)
        } else {
            let mut progress = self.progress.lock();
            progress.rows += rows;
            progress.parts.push((start, outputs));
            if progress.rows < self.rows {
                return;
            }
            let parts = std::mem::take(&mut progress.parts);
            drop(progress);
            self.rejoin(parts)
        };
        self.answer(outcome);
    }

    fn rejoin(&self, mut parts: Vec<(usize, Vec<Tensor>)>) -> Outcome {
        parts.sort_unstable_by_key(|(start, _)| *start);
        let mut columns: Vec<_> = parts.into_iter().map(|(_, outputs)| outputs.into_iter()).collect();
        let join = |output: &usize| {
            let parts: Vec<Tensor> = columns.iter_mut().filter_map(Iterator::next).collect();
            concat::rejoin(self.front.output_name(*output), &parts, self.front.pad)
        };
        self.outputs.iter().map(join).collect()
    }

    /// Answers, in order where that is wanted.
    fn answer(self: &Arc<Self>, outcome: Outcome) {
        if self.claim() {
            match &self.place {
                Some(place) => place.leave(self, outcome),
                None => self.reply.give(outcome),
            }
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.leave_queue();
    }
}

impl SessionTask {
    pub(crate) fn whole(request: Request) -> Self {
        let rows = request.rows;
        Self { request: Arc::new(request), start: 0, rows, is_settled: false }
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Its rows of an input. Copies no element.
    pub(crate) fn input(&self, spec: &Signature, position: usize) -> Result<Tensor, Status> {
        let name = spec.inputs.get(position).map_or("", |input| &input.name);
        let whole = self.request.inputs.get(position).and_then(Option::as_ref);
        let whole = whole.ok_or_else(|| Status::internal(format!("input {position} is not there")))?;
        if self.rows == self.request.rows {
            return Ok(whole.clone());
        }
        let sizes: &[usize] = if self.start == 0 { &[self.rows] } else { &[self.start, self.rows] };
        let part = concat::split(name, whole, self.request.rows, sizes)?.pop();
        part.ok_or_else(|| Status::internal(format!("input {position} was not split")))
    }

    /// Answers with outputs in the order in which the request wants them.
    pub(crate) fn succeed(mut self, outputs: Vec<Tensor>) {
        self.is_settled = true;
        self.request.take_in(self.start, self.rows, outputs);
    }

    /// Answers that the run failed.
    pub(crate) fn fail(mut self, status: Status) {
        self.is_settled = true;
        self.request.answer(Err(status));
    }

    /// Lets go of what no queue took, and nobody waits for.
    pub(crate) fn refuse(mut self, status: &Status) {
        self.is_settled = true;
        self.request.front.instruments.refused(status.code());
        if let Some(place) = &self.request.place {
            place.give_up();
        }
    }

    /// Answers that it was not run: at once, whatever the order. True where nothing was answered before.
    pub(crate) fn drop_with(mut self, status: Status) -> bool {
        self.is_settled = true;
        let is_first = self.request.claim();
        if is_first {
            if let Some(place) = &self.request.place {
                place.give_up();
            }
            self.request.reply.give(Err(status));
        }
        is_first
    }
}

impl Task for SessionTask {
    type Key = Group;

    fn key(&self) -> Group {
        self.request.group.clone()
    }

    fn size(&self) -> usize {
        self.rows
    }

    fn level(&self) -> Option<usize> {
        self.request.level
    }

    fn timeout(&self) -> Option<Duration> {
        self.request.timeout
    }

    fn given_up(&self, now: Instant) -> Option<GivenUp> {
        // A part need not be run where another has failed.
        if self.request.context.cancel.is_cancelled() || self.request.is_answered.load(Ordering::Acquire) {
            return Some(GivenUp::Cancelled);
        }
        self.request.context.deadline.is_some_and(|deadline| deadline <= now).then_some(GivenUp::Expired)
    }

    fn split(mut self, sizes: &[usize]) -> Vec<Self> {
        self.is_settled = true;
        let mut start = self.start;
        let part = |&rows: &usize| {
            let part = Self { request: Arc::clone(&self.request), start, rows, is_settled: false };
            start += rows;
            part
        };
        sizes.iter().map(part).collect()
    }
}

impl Drop for SessionTask {
    fn drop(&mut self) {
        if !self.is_settled {
            self.request.answer(Err(Status::internal("the request was dropped without being run")));
        }
    }
}

impl std::fmt::Debug for SessionTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionTask")
            .field("start", &self.start)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}
