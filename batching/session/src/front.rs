//! What runs the batches of one signature.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use salver_batching_concat as concat;
use salver_batching_concat::PadValue;
use salver_batching_queue::{Batch, BatchPadding, Dropped, GivenUp, Level, QueueOptions, Task};
use salver_batching_scheduler::Consumer;
use salver_core_clock::Clock;
use salver_core_platform::{Model, RunContext, RunRequest};
use salver_core_signature::Signature;
use salver_core_status::{Code, Status};
use salver_core_tensor::{Shape, Tensor, TensorView};

use crate::checks::{check_rows, check_waste};
use crate::context::Lent;
use crate::group::{Form, Input};
use crate::instruments::Instruments;
use crate::reply::Outcome;
use crate::request::SessionTask;

/// One signature of a model, and how its batches are run.
pub(crate) struct Front {
    pub(crate) model: Arc<dyn Model>,
    /// Its position.
    pub(crate) signature: usize,
    pub(crate) spec: Signature,
    /// What shorter inputs are filled with; `None` where only equal shapes meet.
    pub(crate) pad: Option<PadValue>,
    /// Outputs that are cut to inputs: positions of both.
    pub(crate) unpad: Vec<(usize, usize)>,
    pub(crate) queue: QueueOptions,
    pub(crate) instruments: Instruments,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why a batch failed, and whether one of its requests may be at fault.
struct Failure {
    status: Status,
    may_be_of_one: bool,
}

impl Consumer<SessionTask> for Front {
    fn run(&self, batch: Batch<SessionTask>) {
        let Batch { tasks, rows, padded_rows, .. } = batch;
        let now = self.clock.now();
        for task in &tasks {
            if task.request().leave_queue() {
                let waited = now.saturating_duration_since(task.request().since);
                self.instruments.waited.record(waited.as_secs_f64());
            }
        }
        if let Some(level) = tasks.first().and_then(|task| self.level(task)) {
            self.instruments.fill.record(rows as f64 / level.max_execution_batch_size.max(1) as f64);
        }
        self.run_together(tasks, padded_rows);
    }

    fn dropped(&self, dropped: Dropped<SessionTask>) {
        let Dropped { task, status } = dropped;
        task.request().leave_queue();
        let code = status.code();
        if task.drop_with(status) {
            self.instruments.dropped(code);
        }
    }
}

impl Front {
    /// Runs a request by itself, with tensors as they are.
    pub(crate) fn run_alone(
        &self,
        inputs: &[Option<Tensor>],
        outputs: &[usize],
        context: RunContext<'_>,
    ) -> Outcome {
        let views: Vec<_> = inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
        self.call(&views, outputs, context)
    }

    pub(crate) fn output_name(&self, position: usize) -> &str {
        self.spec.outputs.get(position).map_or("", |output| &output.name)
    }

    /// Runs tasks as one batch and answers each. Where one of them may be at fault for a failure, it is looked for by
    /// halves, and the others get their answers: of n tasks with one at fault, in 2 log n more runs.
    fn run_together(&self, mut tasks: Vec<SessionTask>, padded_rows: usize) {
        match self.attempt(&tasks, padded_rows) {
            Ok(outcomes) => {
                tasks.into_iter().zip(outcomes).for_each(|(task, outputs)| task.succeed(outputs));
            }
            Err(Failure { may_be_of_one: true, .. }) if tasks.len() > 1 => {
                let others = tasks.split_off(tasks.len() / 2);
                for half in [tasks, others] {
                    let half = self.wanted(half);
                    let rows = self.size_to_run(&half, padded_rows);
                    self.run_together(half, rows);
                }
            }
            Err(Failure { status, .. }) => {
                tasks.into_iter().for_each(|task| task.fail(status.clone()));
            }
        }
    }

    /// Those that have not been given up since the batch left.
    fn wanted(&self, tasks: Vec<SessionTask>) -> Vec<SessionTask> {
        let now = self.clock.now();
        let (mut wanted, mut rest) = (Vec::with_capacity(tasks.len()), Vec::new());
        for task in tasks {
            match task.given_up(now) {
                None => wanted.push(task),
                Some(GivenUp::Cancelled) => rest.push((task, Status::cancelled("the caller gave up"))),
                Some(GivenUp::Expired) => {
                    let status = Status::deadline_exceeded("the deadline passed before the model ran");
                    rest.push((task, status));
                }
            }
        }
        rest.into_iter().for_each(|(task, status)| self.dropped(Dropped { task, status }));
        wanted
    }

    /// With how many rows a part of a batch is run that was to be run with `padded_rows`.
    fn size_to_run(&self, tasks: &[SessionTask], padded_rows: usize) -> usize {
        let rows = tasks.iter().map(SessionTask::rows).sum();
        let allowed =
            tasks.first().and_then(|task| self.level(task)).map_or(&[][..], |l| &l.allowed_batch_sizes);
        match self.queue.padding {
            BatchPadding::Disabled => rows,
            _ if allowed.is_empty() => rows,
            _ => allowed.iter().copied().find(|size| *size >= rows).unwrap_or(padded_rows),
        }
    }

    fn level(&self, task: &SessionTask) -> Option<&Level> {
        let levels = &self.queue.levels;
        let level = task.request().level.unwrap_or(self.queue.default_level);
        levels.get(level).or(levels.last())
    }

    /// Runs tasks as one batch, to the outputs of each.
    fn attempt(&self, tasks: &[SessionTask], padded_rows: usize) -> Result<Vec<Vec<Tensor>>, Failure> {
        let Some(first) = tasks.first() else { return Ok(Vec::new()) };
        let form = first.request().group.form();
        let lent = Lent::of(tasks);
        let context = lent.context(tasks, form);
        if form.alone.is_some() {
            let request = first.request();
            let outputs = self.run_alone(&request.inputs, &request.outputs, context);
            return outputs.map(|outputs| vec![outputs]).map_err(Failure::of_model);
        }
        let inputs = self.join(tasks, form, padded_rows).map_err(Failure::of_tensors)?;
        let views: Vec<_> = inputs.iter().map(|input| input.as_ref().map(Tensor::view)).collect();
        self.instruments.rows.record(padded_rows as f64);
        let outputs = self.call(&views, &form.outputs, context).map_err(Failure::of_model)?;
        self.split(tasks, form, padded_rows, &inputs, &outputs).map_err(Failure::of_all)
    }

    /// The inputs of a batch. Those of a task that is alone are its own.
    fn join(
        &self,
        tasks: &[SessionTask],
        form: &Form,
        padded_rows: usize,
    ) -> Result<Vec<Option<Tensor>>, Status> {
        let rows: usize = tasks.iter().map(SessionTask::rows).sum();
        let mut padding = 0;
        let mut joined = Vec::with_capacity(form.inputs.len());
        for (position, input) in form.inputs.iter().enumerate() {
            if !input.is_joined() {
                // Absent, or the same for all.
                joined.push(
                    tasks.first().and_then(|task| task.request().inputs.get(position).cloned().flatten()),
                );
                continue;
            }
            let parts = tasks.iter().map(|task| task.input(&self.spec, position));
            let mut parts: Vec<Tensor> = parts.collect::<Result<_, _>>()?;
            if parts.len() == 1 && rows == padded_rows {
                joined.push(parts.pop());
                continue;
            }
            let name = self.spec.inputs.get(position).map_or("", |spec| &spec.name);
            let pad = self.pad.filter(|_| matches!(input, Input::Ragged(..)));
            let given: usize = parts.iter().map(|part| part.shape().element_count()).sum();
            if pad.is_some() && parts.len() > 1 {
                check_waste(name, &parts, given)?;
            }
            let whole = concat::join(name, &parts.iter().collect::<Vec<_>>(), padded_rows, pad)?;
            padding += whole.shape().element_count().saturating_sub(given);
            joined.push(Some(whole));
        }
        let padding_rows = padded_rows.saturating_sub(rows);
        if padding_rows > 0 {
            self.instruments.padding_rows.record(padding_rows as f64);
        }
        if padding > 0 {
            self.instruments.padding_elements.record(padding as f64);
        }
        Ok(joined)
    }

    /// Runs the model.
    fn call(&self, inputs: &[Option<TensorView<'_>>], outputs: &[usize], context: RunContext<'_>) -> Outcome {
        let request = RunRequest { signature: self.signature, inputs, outputs, context };
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.model.run(&request))).unwrap_or_else(|panic| {
            tracing::error!(error = text_of(&*panic), "a model panicked");
            // Not ours: let it not panic a second time.
            mem::forget(panic);
            Err(Status::internal("the model panicked"))
        });
        self.instruments.ran.record(start.elapsed().as_secs_f64());
        let tensors = outcome?;
        if tensors.len() != outputs.len() {
            let (found, wanted) = (tensors.len(), outputs.len());
            return Err(Status::internal(format!("the model returned {found} of {wanted} outputs")));
        }
        Ok(tensors)
    }

    /// Splits the outputs of a batch: those of each task in the order in which it wants them.
    fn split(
        &self,
        tasks: &[SessionTask],
        form: &Form,
        padded_rows: usize,
        inputs: &[Option<Tensor>],
        outputs: &[Tensor],
    ) -> Result<Vec<Vec<Tensor>>, Status> {
        let sizes: Vec<usize> = tasks.iter().map(SessionTask::rows).collect();
        let mut split: Vec<Vec<Tensor>> = sizes.iter().map(|_| Vec::with_capacity(outputs.len())).collect();
        for (&position, output) in form.outputs.iter().zip(outputs) {
            let name = self.output_name(position);
            check_rows(name, output, padded_rows)?;
            let pieces = concat::split(name, output, padded_rows, &sizes)?;
            for ((task, piece), split) in tasks.iter().zip(pieces).zip(&mut split) {
                split.push(self.unpad(position, name, piece, task, inputs)?);
            }
        }
        let in_order = |(task, outputs): (&SessionTask, Vec<Tensor>)| {
            let wanted = &task.request().outputs;
            if form.outputs[..] == wanted[..] {
                return outputs;
            }
            let place = |position: &usize| form.outputs.binary_search(position).ok();
            wanted.iter().filter_map(|position| outputs.get(place(position)?).cloned()).collect()
        };
        Ok(tasks.iter().zip(split).map(in_order).collect())
    }

    /// Cuts a task's output to the input that it follows: each dimension that is as long as that input's became.
    fn unpad(
        &self,
        position: usize,
        name: &str,
        piece: Tensor,
        task: &SessionTask,
        inputs: &[Option<Tensor>],
    ) -> Result<Tensor, Status> {
        let input = self.unpad.iter().find(|(output, _)| *output == position).map(|(_, input)| *input);
        let of = |inputs: &[Option<Tensor>]| -> Option<Shape> {
            Some(inputs.get(input?)?.as_ref()?.shape().clone())
        };
        let (Some(padded), Some(own)) = (of(inputs), of(&task.request().inputs)) else { return Ok(piece) };
        let mut dims = piece.shape().dims().to_vec();
        for ((dim, padded), own) in dims.iter_mut().zip(padded.dims()).zip(own.dims()).skip(1) {
            if dim == padded {
                *dim = *own;
            }
        }
        if dims == piece.shape().dims() {
            return Ok(piece);
        }
        concat::trim(name, &piece, &Shape::new(&dims)?)
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl Failure {
    /// A value in one request may have been what the model does not take.
    fn of_model(status: Status) -> Self {
        Self { may_be_of_one: status.code() == Code::InvalidArgument, status }
    }

    /// One request's tensors may be what does not fit.
    fn of_tensors(status: Status) -> Self {
        Self { may_be_of_one: true, status }
    }

    fn of_all(status: Status) -> Self {
        Self { may_be_of_one: false, status }
    }
}
