//! Requests that nobody wants any more.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use salver_core_platform::{CancelFlag, RunContext};
use salver_core_status::{Code, Status};
use salver_core_tensor::Tensor;

use crate::Subject;
use crate::case::{Fault, fail};
use crate::subject::run;

use super::runs::{Steady, steady};

/// How long a request may take that nobody wants: generous, since machines are busy.
const SOON: Duration = Duration::from_secs(5);

pub(super) fn unwanted(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = subject.some_model()?;
    let model = subject.load(&folder)?;
    let cancel = CancelFlag::new();
    cancel.cancel();
    let cancelled = RunContext { cancel: cancel.watch(), ..RunContext::default() };
    let late = RunContext { deadline: Some(Instant::now()), ..RunContext::default() };
    for Steady { position, signature, inputs, outputs, .. } in steady(subject, &*model)? {
        for (what, context, code) in
            [("cancelled", cancelled, Code::Cancelled), ("late", late, Code::DeadlineExceeded)]
        {
            let begin = Instant::now();
            let answer = run(&*model, position, &inputs, &outputs, context);
            let took = begin.elapsed();
            if took > SOON {
                fail!(
                    "signature `{}` took {took:?} for a request that is {what}, at most {SOON:?} is soon",
                    signature.name
                );
            }
            // A model whose runs are short need not look.
            if let Err(status) = answer
                && status.code() != code
            {
                fail!(
                    "signature `{}` answers a request that is {what} with {}: {status}",
                    signature.name,
                    status.code().name()
                );
            }
        }
    }
    Ok(())
}

/// When requests are given up, in eighths of the time that a run takes: before, while and after it computes.
const EIGHTHS: std::ops::Range<u32> = 0..16;

pub(super) fn given_up(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = subject.some_model()?;
    let model = subject.load(&folder)?;
    for Steady { position, signature, inputs, outputs, answer: wanted } in steady(subject, &*model)? {
        let ask = |context: RunContext<'_>| run(&*model, position, &inputs, &outputs, context);
        let begin = Instant::now();
        // It answered just now.
        let _ = ask(RunContext::default());
        let took = begin.elapsed();
        for wait in EIGHTHS.map(|eighths| took * eighths / 8) {
            let late = RunContext { deadline: Instant::now().checked_add(wait), ..RunContext::default() };
            let ends = [
                ("late", Code::DeadlineExceeded, timed(|| ask(late))),
                ("cancelled", Code::Cancelled, timed(|| cancelled_after(wait, &ask))),
            ];
            for (what, code, (answer, ended)) in ends {
                let at = format!("signature `{}`, {what} {wait:?} after it was asked", signature.name);
                if ended > SOON.saturating_add(took) {
                    fail!("{at}: ends after {ended:?}, {SOON:?} more than the {took:?} of a run is soon");
                }
                match answer {
                    Ok(found) if subject.tolerance.allows(&found, &wanted) => {}
                    Ok(_) => fail!("{at}: another answer than when it is wanted"),
                    Err(status) if status.code() == code => {}
                    Err(status) => fail!("{at}: {}: {status}", status.code().name()),
                }
            }
            match ask(RunContext::default()) {
                Ok(found) if subject.tolerance.allows(&found, &wanted) => {}
                Ok(_) => fail!("signature `{}`: another answer after one that was given up", signature.name),
                Err(status) => {
                    fail!("signature `{}`: no answer after one that was given up: {status}", signature.name)
                }
            }
        }
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed())
}

/// Runs, and cancels from another thread after a while, unless the run is over by then.
fn cancelled_after(
    wait: Duration,
    ask: &dyn Fn(RunContext<'_>) -> Result<Vec<Tensor>, Status>,
) -> Result<Vec<Tensor>, Status> {
    let cancel = CancelFlag::new();
    let (over, is_over) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let cancel = &cancel;
        scope.spawn(move || {
            let _ = is_over.recv_timeout(wait);
            cancel.cancel();
        });
        let answer = ask(RunContext { cancel: cancel.watch(), ..RunContext::default() });
        drop(over);
        answer
    })
}
