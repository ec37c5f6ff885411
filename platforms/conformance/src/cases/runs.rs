//! Runs of any model, with inputs that its signatures allow.

use salver_core_platform::{Model, RunContext};
use salver_core_signature::Signature;
use salver_core_tensor::Tensor;

use crate::Subject;
use crate::case::{Fault, fail};
use crate::inputs::{self, Values};
use crate::subject::{answer, run};

/// Inputs of a signature: plain ones, with 1 where a size is open, as all dimensions can be then.
fn plain(subject: &Subject<'_>, signature: &Signature) -> Result<Vec<Option<Tensor>>, Fault> {
    made(subject, signature, 1, Values::Plain)
}

fn made(
    subject: &Subject<'_>,
    signature: &Signature,
    size: i64,
    values: Values,
) -> Result<Vec<Option<Tensor>>, Fault> {
    let cannot = |status| Fault::Skipped(format!("no inputs for signature `{}`: {status}", signature.name));
    inputs::of_signature(subject, signature, size, values).map_err(cannot)
}

pub(super) fn declared_outputs(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = subject.some_model()?;
    let model = subject.load(&folder)?;
    let mut refusal = None;
    let mut answers = 0;
    for (position, signature) in model.signatures().iter().enumerate() {
        for size in [1, 2, 3] {
            match answer(&*model, position, signature, &made(subject, signature, size, Values::Plain)?)? {
                Ok(outputs) => as_declared(signature, &outputs)?,
                Err(status) => {
                    refusal = Some(format!("signature `{}`: {status}", signature.name));
                    continue;
                }
            }
            answers += 1;
        }
    }
    match refusal {
        Some(refusal) if answers == 0 => {
            Err(Fault::Skipped(format!("made-up inputs are all refused: {refusal}")))
        }
        _ => Ok(()),
    }
}

fn as_declared(signature: &Signature, outputs: &[Tensor]) -> Result<(), Fault> {
    if outputs.len() != signature.outputs.len() {
        fail!(
            "signature `{}` has {} outputs, returned are {}",
            signature.name,
            signature.outputs.len(),
            outputs.len()
        );
    }
    for (spec, output) in signature.outputs.iter().zip(outputs) {
        if let Err(error) = spec.check(output) {
            fail!("signature `{}`: output is not as declared: {error}", signature.name);
        }
    }
    Ok(())
}

/// A signature that answers plain inputs, alike each time.
pub(super) struct Steady<'a> {
    pub(super) position: usize,
    pub(super) signature: &'a Signature,
    pub(super) inputs: Vec<Option<Tensor>>,
    /// Every output, by position.
    pub(super) outputs: Vec<usize>,
    pub(super) answer: Vec<Tensor>,
}

/// The signatures that answer plain inputs, alike each time; a case that needs some is skipped where there are none.
pub(super) fn steady<'a>(subject: &Subject<'_>, model: &'a dyn Model) -> Result<Vec<Steady<'a>>, Fault> {
    let (mut found, mut skip) = (Vec::new(), None);
    for (position, signature) in model.signatures().iter().enumerate() {
        let inputs = match plain(subject, signature) {
            Ok(inputs) => inputs,
            Err(fault) => {
                skip = Some(fault);
                continue;
            }
        };
        let first = answer(model, position, signature, &inputs)?;
        match (first, answer(model, position, signature, &inputs)?) {
            (Ok(answer), Ok(second)) if subject.tolerance.allows(&answer, &second) => {
                let outputs = (0..signature.outputs.len()).collect();
                found.push(Steady { position, signature, inputs, outputs, answer });
            }
            (Ok(_), Ok(_)) => {
                skip = Some(Fault::Skipped(format!(
                    "signature `{}` answers otherwise each time",
                    signature.name
                )));
            }
            (Err(status), _) | (_, Err(status)) => {
                skip = Some(Fault::Skipped(format!(
                    "signature `{}` refuses made-up inputs: {status}",
                    signature.name
                )));
            }
        }
    }
    match skip {
        Some(skip) if found.is_empty() => Err(skip),
        _ => Ok(found),
    }
}

pub(super) fn chosen_outputs(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = subject.some_model()?;
    let model = subject.load(&folder)?;
    for Steady { position, signature, inputs, answer: all, .. } in steady(subject, &*model)? {
        let backwards: Vec<_> = (0..all.len()).rev().collect();
        let singles = (0..all.len()).map(|output| vec![output]);
        for chosen in singles.chain([backwards]) {
            let wanted: Vec<_> = chosen.iter().filter_map(|output| all.get(*output).cloned()).collect();
            match run(&*model, position, &inputs, &chosen, RunContext::default()) {
                Ok(outputs) if subject.tolerance.allows(&outputs, &wanted) => {}
                Ok(_) => fail!("signature `{}`: asked for outputs {chosen:?}, others came", signature.name),
                Err(status) => {
                    fail!("signature `{}`: asked for outputs {chosen:?}: {status}", signature.name)
                }
            }
        }
    }
    Ok(())
}

pub(super) fn wild_values(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = subject.some_model()?;
    let model = subject.load(&folder)?;
    for (position, signature) in model.signatures().iter().enumerate() {
        for size in [0, 1, 2, 17] {
            let inputs = made(subject, signature, size, Values::Wild)?;
            let outputs: Vec<_> = (0..signature.outputs.len()).collect();
            match run(&*model, position, &inputs, &outputs, RunContext::default()) {
                Ok(outputs) => as_declared(signature, &outputs)?,
                Err(status) if status.message().contains("panicked") => {
                    fail!("the platform panicked: {status}")
                }
                Err(_) => {}
            }
        }
    }
    Ok(())
}

pub(super) fn concurrent(subject: &Subject<'_>) -> Result<(), Fault> {
    const THREADS: usize = 8;
    const RUNS: usize = 25;
    let folder = subject.some_model()?;
    let model = subject.load(&folder)?;
    for Steady { position, signature, inputs, outputs, answer: wanted } in steady(subject, &*model)? {
        let wrong = || {
            (0..RUNS).find_map(|_| match run(&*model, position, &inputs, &outputs, RunContext::default()) {
                Ok(found) if subject.tolerance.allows(&found, &wanted) => None,
                Ok(_) => Some("another answer than alone".to_owned()),
                Err(status) => Some(status.to_string()),
            })
        };
        let wrong = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(wrong)).collect();
            let panicked = |_| Some("the platform panicked".to_owned());
            threads.into_iter().filter_map(|thread| thread.join().unwrap_or_else(panicked)).next()
        });
        if let Some(what) = wrong {
            fail!("signature `{}` on {THREADS} threads: {what}", signature.name);
        }
    }
    Ok(())
}

pub(super) fn outputs_outlive_model(subject: &Subject<'_>) -> Result<(), Fault> {
    let folder = subject.some_model()?;
    let model = subject.load(&folder)?;
    let mut kept = Vec::new();
    for Steady { answer, .. } in steady(subject, &*model)? {
        kept.extend(answer.into_iter().map(|output| (elements(&output), output)));
    }
    drop(model);
    // What was freed is written over.
    drop(subject.load(&folder)?);
    if kept.iter().any(|(before, output)| *before != elements(output)) {
        fail!("an output was another before the model was unloaded");
    }
    Ok(())
}

/// A copy of the elements, in memory of its own.
fn elements(tensor: &Tensor) -> Vec<Vec<u8>> {
    match (tensor.fixed(), tensor.strings()) {
        (Some(bytes), _) => vec![bytes.to_vec()],
        (None, strings) => {
            strings.iter().flat_map(|strings| strings.iter()).map(|bytes| bytes.to_vec()).collect()
        }
    }
}
