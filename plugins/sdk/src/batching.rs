//! The server's queues for steps inside models.

mod answer;

use std::sync::{Arc, LazyLock};

use salver_core_platform::{
    BatchQueue, Batcher, Model, OptionValue, Options, RunRequest, StepRequest, unbatched,
};
use salver_core_servable::ServableId;
use salver_core_signature::SignatureSet;
use salver_core_status::Status;
use salver_core_tensor::Tensor;
use salver_plugins_abi as abi;

use crate::outputs::describe;
use crate::said::{check, sink};
use crate::{host, model};
use answer::outputs;

/// The server's; where it offers none, every step is run by itself. Not called before the plugin is started.
pub(crate) fn batcher() -> &'static Arc<dyn Batcher> {
    static BATCHER: LazyLock<Arc<dyn Batcher>> = LazyLock::new(|| {
        let table = host::table(abi::BATCHING_V1).cast::<abi::BatchingV1>();
        // SAFETY: what a server offers under the name is this table, or null; it lives as long as the process.
        match unsafe { table.as_ref() } {
            Some(table) => Arc::new(Queues(table)),
            None => Arc::clone(unbatched()),
        }
    });
    &BATCHER
}

/// The server's queues.
struct Queues(&'static abi::BatchingV1);

impl Batcher for Queues {
    fn open(
        &self,
        model: &ServableId,
        name: &str,
        step: Arc<dyn Model>,
        options: &Options,
    ) -> Result<Box<dyn BatchQueue>, Status> {
        let options = params(options);
        let step = abi::StepV1 {
            model: abi::Str::new(model.name.as_str()),
            version: model.version.number(),
            name: abi::Str::new(name),
            step: model::hand_over(Box::new(Step(step))),
            options: options.as_ptr(),
            option_count: options.len(),
        };
        let (mut said, mut number) = (String::new(), 0);
        let sink = sink(&mut said);
        let (place, error) = (&raw mut number, &raw const sink);
        // SAFETY: all that is passed is alive for the call, and the step is handed over here alone.
        let code = unsafe { (self.0.open)(self.0.context, &raw const step, place, error) };
        check(code, said)?;
        Ok(Box::new(Queue { table: self.0, number }))
    }
}

/// A queue of the server's. Dropping it closes it.
struct Queue {
    table: &'static abi::BatchingV1,
    number: u64,
}

impl BatchQueue for Queue {
    fn run(&self, request: StepRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let StepRequest { signature, inputs, outputs: wanted, context } = request;
        let mut strings = Vec::new();
        let mut table_of = |input: &Option<Tensor>| {
            input.as_ref().map_or(abi::Tensor::NONE, |tensor| describe(tensor, &mut strings))
        };
        let inputs: Vec<abi::Tensor> = inputs.iter().map(&mut table_of).collect();
        // A signature has at most 65,536 outputs, and a model as many signatures: the server refuses what it has not.
        let number = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        let wanted: Vec<u32> = wanted.iter().map(|position| number(*position)).collect();
        let params = params(context.parameters);
        let request = abi::RunRequest {
            signature: number(signature),
            inputs: inputs.as_ptr(),
            input_count: inputs.len(),
            outputs: wanted.as_ptr(),
            output_count: wanted.len(),
            deadline_ns: context.deadline.map_or(0, abi::monotonic_ns),
            cancelled: context.cancel.word().map_or(std::ptr::null(), |word| word.as_ptr().cast_const()),
            trace_id: context.trace.trace_id,
            span_id: context.trace.span_id,
            trace_flags: context.trace.flags,
            request_id: abi::Str::new(context.request_id),
            params: params.as_ptr(),
            param_count: params.len(),
        };
        let mut said = String::new();
        let sink = sink(&mut said);
        let mut out = abi::Outputs { tensors: std::ptr::null(), count: 0, owner: std::ptr::null_mut() };
        let (asked, place, error) = (&raw const request, &raw mut out, &raw const sink);
        // SAFETY: all that is passed is alive for the call; the queue is open until it is dropped.
        let code = unsafe { (self.table.run)(self.table.context, self.number, asked, place, error) };
        check(code, said)?;
        // SAFETY: the run succeeded, and this is the first look at what it returned.
        unsafe { outputs(self.table, out) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: runs borrow the queue, so all of them are over; this is the one call.
        unsafe { (self.table.close)(self.table.context, self.number) }
    }
}

/// A step that is shared with its author's model.
struct Step(Arc<dyn Model>);

impl Model for Step {
    fn signatures(&self) -> &SignatureSet {
        self.0.signatures()
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        self.0.run(request)
    }
}

/// Settings in the form of the tables; they point into `options`.
fn params(options: &Options) -> Vec<abi::Param> {
    let param = |(name, value): (&str, &OptionValue)| {
        let (kind, integer, number, text) = match value {
            OptionValue::Bool(value) => (abi::PARAM_BOOL, i64::from(*value), 0.0, ""),
            OptionValue::Int(value) => (abi::PARAM_INT, *value, 0.0, ""),
            OptionValue::Float(value) => (abi::PARAM_FLOAT, 0, *value, ""),
            OptionValue::Text(value) => (abi::PARAM_TEXT, 0, 0.0, value.as_str()),
        };
        abi::Param { name: abi::Str::new(name), kind, integer, number, text: abi::Str::new(text) }
    };
    options.iter().map(param).collect()
}
