//! What a batch tells the model of the requests in it.

use std::sync::Arc;
use std::time::Instant;

use salver_core_platform::{Cancellation, RunContext, TraceContext};

use crate::group::Form;
use crate::reply::Together;
use crate::request::SessionTask;

/// What a batch lends the model of its requests' contexts.
pub(crate) enum Lent {
    /// That of a request that runs by itself.
    One,
    /// Of several, which must all give up for the batch to be given up.
    Many(Arc<Together>),
}

impl Lent {
    /// Tells the requests of the batch that they run in it.
    pub(crate) fn of(tasks: &[SessionTask]) -> Self {
        if tasks.len() == 1 {
            return Self::One;
        }
        let together =
            Arc::new(Together::new(tasks.iter().map(|task| task.request().context.cancel.clone()).collect()));
        tasks.iter().for_each(|task| task.request().reply.runs_in(&together));
        // For callers who left before they could be told of the batch.
        together.look();
        Self::Many(together)
    }

    /// What the model is told: the latest deadline, the parameters that all have, the trace of one that is sampled.
    pub(crate) fn context<'a>(&'a self, tasks: &'a [SessionTask], form: &'a Form) -> RunContext<'a> {
        let Some(first) = tasks.first() else { return RunContext::default() };
        let contexts = || tasks.iter().map(|task| &task.request().context);
        let deadlines: Option<Vec<Instant>> = contexts().map(|context| context.deadline).collect();
        let sampled = contexts().map(|context| context.trace).find(is_sampled);
        let first = &first.request().context;
        let (cancel, request_id): (Cancellation<'a>, &'a str) = match self {
            Self::One => (first.cancel.watch(), &first.request_id),
            Self::Many(together) => (together.whole.watch(), ""),
        };
        RunContext {
            deadline: deadlines.and_then(|deadlines| deadlines.into_iter().max()),
            cancel,
            trace: sampled.unwrap_or(first.trace),
            request_id,
            parameters: &form.parameters.0,
        }
    }
}

fn is_sampled(trace: &TraceContext) -> bool {
    trace.flags & 1 == 1
}
