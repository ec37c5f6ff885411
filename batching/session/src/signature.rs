//! Whether the requests of a signature can be joined, and what one of them asks for.

use std::time::Duration;

use salver_batching_parameters::Padding;
use salver_core_platform::{OptionValue, Options};
use salver_core_signature::{Signature, SignatureSet, TensorSpec};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::Tensor;
use smallvec::SmallVec;

use crate::NotBatched;
use crate::group::{Form, Input, Parameters, sorted};

/// Whether the first dimension of every tensor can count rows.
pub(crate) fn check(signature: &Signature) -> Result<(), NotBatched> {
    let required = signature.inputs.iter().filter(|input| !input.is_optional);
    let of = |kind: &'static str| move |spec| (kind, spec);
    let odd = required.map(of("input")).chain(signature.outputs.iter().map(of("output")));
    if let Some((kind, spec)) = odd.into_iter().find(|(_, spec)| !counts_rows(spec)) {
        let (name, shape) = (Quoted(&spec.name), &spec.shape);
        return Err(NotBatched(format!(
            "{kind} {name} has shape {shape}, a first dimension of any size (-1) was wanted"
        )));
    }
    if !signature.inputs.iter().any(counts_rows) {
        return Err(NotBatched("no input has a first dimension of any size (-1)".to_owned()));
    }
    Ok(())
}

/// Which outputs of a signature are cut to which of its inputs.
pub(crate) fn unpad(signature: &Signature, padding: Option<&Padding>) -> Vec<(usize, usize)> {
    let position = |specs: &[TensorSpec], name: &str| specs.iter().position(|spec| spec.name == name);
    let pairs = padding.into_iter().flat_map(|padding| &padding.unpad);
    let pairs = pairs.filter_map(|(output, input)| {
        Some((position(&signature.outputs, output)?, position(&signature.inputs, input)?))
    });
    pairs.collect()
}

/// Whether the outputs and inputs that are named for unpadding are the model's.
pub(crate) fn check_unpad(signatures: &SignatureSet, padding: Option<&Padding>) -> Result<(), Status> {
    for (output, input) in padding.into_iter().flat_map(|padding| &padding.unpad) {
        let has = |specs: &[TensorSpec], name: &str| specs.iter().any(|spec| spec.name == name);
        let is_there = |s: &Signature| has(&s.outputs, output) && has(&s.inputs, input);
        if !signatures.iter().any(is_there) {
            return Err(Status::invalid_argument(format!(
                "unpad_outputs cuts {} to {}: no signature has such an output and such an input",
                Quoted(output),
                Quoted(input)
            )));
        }
    }
    Ok(())
}

fn counts_rows(spec: &TensorSpec) -> bool {
    spec.shape.dims().is_none_or(|dims| dims.first().is_some_and(|dim| *dim < 0))
}

/// What a request asks for, and how many rows it has; `None` where it has to run by itself.
///
/// # Errors
/// INVALID_ARGUMENT where its inputs differ in rows.
pub(crate) fn read(
    signature: &Signature,
    inputs: &[Option<Tensor>],
    outputs: &[usize],
    parameters: Options,
    is_ragged: bool,
) -> Result<(Form, Option<usize>), Status> {
    let mut form = Form {
        inputs: SmallVec::with_capacity(inputs.len()),
        outputs: sorted(outputs),
        parameters: Parameters(parameters),
        alone: None,
    };
    let mut rows: Option<(usize, &TensorSpec, &Tensor)> = None;
    for (spec, input) in signature.inputs.iter().zip(inputs) {
        let Some(tensor) = input else {
            form.inputs.push(Input::Absent);
            continue;
        };
        let count = salver_batching_concat::rows(tensor).filter(|_| counts_rows(spec));
        let (Some(count), Some(input)) = (count, Input::of(tensor, is_ragged)) else {
            // Its default may be the same for any number of rows; something else may not.
            if is_default(spec, tensor) {
                form.inputs.push(Input::Default);
                continue;
            }
            return Ok((form, None));
        };
        match rows {
            None => rows = Some((count, spec, tensor)),
            Some((first, ..)) if first == count => {}
            // Nobody gave rows that differ: the model knows what its default stands for.
            Some((_, other, given)) if is_default(spec, tensor) || is_default(other, given) => {
                return Ok((form, None));
            }
            Some((first, other, _)) => {
                return Err(Status::invalid_argument(format!(
                    "Batching Run() input tensors must have equal 0th-dimension size: input {} has {first}, input {} \
                     has {count}",
                    Quoted(&other.name),
                    Quoted(&spec.name)
                )));
            }
        }
        form.inputs.push(input);
    }
    let rows = rows.map(|(rows, ..)| rows).filter(|rows| *rows > 0);
    Ok((form, rows))
}

/// Whether a tensor is what stands in for an input that is left out.
fn is_default(spec: &TensorSpec, tensor: &Tensor) -> bool {
    spec.is_optional && spec.default.as_ref() == Some(tensor)
}

/// What a request says to the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) level: Option<usize>,
    pub(crate) timeout: Option<Duration>,
}

/// Takes `priority` (1 the highest, 0 for the default) and `timeout` (microseconds) out of a request's parameters.
///
/// # Errors
/// INVALID_ARGUMENT where one is not a number of 0 or more.
pub(crate) fn take_said(parameters: Options) -> Result<(Said, Options), Status> {
    let read = |name: &str| -> Result<Option<u64>, Status> {
        let Some(number) = parameters.int(name)? else { return Ok(None) };
        let number = u64::try_from(number).map_err(|_| {
            Status::invalid_argument(format!("parameter `{name}` is {number}, 0 or more was wanted"))
        })?;
        Ok(Some(number).filter(|number| *number > 0))
    };
    let (priority, timeout) = (read(PRIORITY)?, read(TIMEOUT)?);
    let level = priority.map(|priority| usize::try_from(priority - 1).unwrap_or(usize::MAX));
    let said = Said { level, timeout: timeout.map(Duration::from_micros) };
    let is_said = |name: &str| name == PRIORITY || name == TIMEOUT;
    if !parameters.iter().any(|(name, _)| is_said(name)) {
        return Ok((said, parameters));
    }
    let mut others = Options::new();
    for (name, value) in parameters.iter().filter(|(name, _)| !is_said(name)) {
        let value: &OptionValue = value;
        others.set(name, value.clone());
    }
    Ok((said, others))
}

const PRIORITY: &str = "priority";
const TIMEOUT: &str = "timeout";

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_signature::ShapeSpec;
    use salver_core_tensor::{DType, Shape};

    fn spec(name: &str, dims: &[i64]) -> TensorSpec {
        TensorSpec::new(name, DType::I64, ShapeSpec::of(dims))
    }

    fn tensor(rows: usize) -> Tensor {
        Tensor::from_vec(Shape::new(&[rows as i64]).unwrap(), vec![1i64; rows]).unwrap()
    }

    fn rows(signature: &Signature, inputs: &[Option<Tensor>]) -> Result<Option<usize>, Status> {
        read(signature, inputs, &[0], Options::new(), false).map(|(_, rows)| rows)
    }

    #[test]
    fn a_default_of_other_rows_is_no_fault_of_the_request() {
        for is_first in [true, false] {
            let (x, weight) = (spec("x", &[-1]), spec("weight", &[-1]).optional(Some(tensor(1))));
            let inputs = if is_first { vec![weight, x] } else { vec![x, weight] };
            let signature = Signature::predict(inputs, vec![spec("y", &[-1])]);
            let of = |x, weight| {
                let (x, weight) = (Some(tensor(x)), Some(tensor(weight)));
                rows(&signature, &if is_first { [weight, x] } else { [x, weight] })
            };
            assert_eq!(of(1, 1), Ok(Some(1)));
            assert_eq!(of(3, 3), Ok(Some(3)));
            assert_eq!(of(3, 1), Ok(None));
            assert!(of(3, 2).is_err());
        }
    }

    #[test]
    fn a_signature_is_batched_where_what_it_needs_and_returns_has_rows() {
        let y = || vec![spec("y", &[-1, 2])];
        let any = TensorSpec::new("x", DType::I64, ShapeSpec::any());
        let scale = spec("scale", &[]).optional(None);
        assert_eq!(check(&Signature::predict(vec![any, scale.clone()], y())), Ok(()));
        let reason = |inputs, outputs| check(&Signature::predict(inputs, outputs)).unwrap_err().0;
        assert_eq!(
            reason(vec![spec("x", &[-1]), spec("k", &[])], y()),
            "input `k` has shape [], a first dimension of any size (-1) was wanted"
        );
        assert_eq!(
            reason(vec![spec("x", &[-1])], vec![spec("y", &[1, -1])]),
            "output `y` has shape [1, -1], a first dimension of any size (-1) was wanted"
        );
        assert_eq!(reason(vec![scale], y()), "no input has a first dimension of any size (-1)");
    }
}
