//! A loaded module.

use std::time::Instant;

use salver_core_platform::{Model, RunRequest};
use salver_core_servable::ServableId;
use salver_core_signature::{SignatureSet, TensorSpec};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Tensor, TensorView};
use tch::{CModule, Device, IValue};

use crate::error;
use crate::threads::Turn;
use crate::values::{Output, Returned, take_apart, to_torch};

/// A module with its signature. Dropping it frees the module.
pub(crate) struct TorchModel {
    id: ServableId,
    module: CModule,
    device: Device,
    signatures: SignatureSet,
    /// Which inputs are numbers in `forward`.
    numbers: Vec<bool>,
    form: Form,
}

/// How outputs are found in what `forward` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By position.
    Listed,
    /// By the keys of a dictionary.
    Named,
    /// Whatever it turns out to be.
    Unknown,
}

impl TorchModel {
    pub(crate) fn new(
        id: &ServableId,
        module: CModule,
        device: Device,
        signatures: SignatureSet,
        numbers: Vec<bool>,
        form: Form,
    ) -> Self {
        Self { id: id.clone(), module, device, signatures, numbers, form }
    }

    fn answer(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let signature = self.signatures.as_slice().get(request.signature);
        let signature = signature
            .ok_or_else(|| Status::internal(format!("there is no signature {}", request.signature)))?;
        let returned = compute(&self.module, request.inputs, &signature.inputs, &self.numbers, self.device)?;
        let (is_named, mut outputs) = match returned {
            Returned::Listed(outputs) => {
                (false, outputs.into_iter().map(|output| (None, Some(output))).collect())
            }
            Returned::Named(outputs) => {
                let named = outputs.into_iter().map(|(name, output)| (Some(name), Some(output)));
                (true, named.collect::<Vec<_>>())
            }
        };
        let expected = match self.form {
            Form::Listed => !is_named,
            Form::Named => is_named,
            Form::Unknown => true,
        };
        if !expected || (!is_named && outputs.len() != signature.outputs.len()) {
            return Err(Status::internal(format!(
                "`forward` returned {} outputs{}, which is not what it returned when it was loaded",
                outputs.len(),
                if is_named { " by name" } else { "" }
            )));
        }
        let wanted = request.outputs.iter().map(|&index| {
            let spec = signature.outputs.get(index);
            let spec = spec.ok_or_else(|| Status::internal(format!("there is no output {index}")))?;
            let place = if is_named {
                outputs.iter_mut().find(|(name, _)| name.as_deref() == Some(&spec.name))
            } else {
                outputs.get_mut(index)
            };
            let output = place.and_then(|(_, output)| output.take()).ok_or_else(|| {
                Status::internal(format!("`forward` did not return {}", Quoted(&spec.name)))
            })?;
            checked(spec, output)
        });
        wanted.collect()
    }
}

fn checked(spec: &TensorSpec, output: Output) -> Result<Tensor, Status> {
    let tensor = output.into_tensor(&spec.name)?;
    if tensor.dtype() != spec.dtype {
        return Err(Status::internal(format!(
            "`forward` returned {} of {}, the signature says {}",
            Quoted(&spec.name),
            tensor.dtype(),
            spec.dtype
        )));
    }
    Ok(tensor)
}

/// Runs `forward`.
///
/// # Errors
/// INVALID_ARGUMENT where libtorch fails, as it does on shapes that do not fit: it does not tell faults of the input from
/// others.
pub(crate) fn compute(
    module: &CModule,
    inputs: &[Option<TensorView<'_>>],
    specs: &[TensorSpec],
    numbers: &[bool],
    device: Device,
) -> Result<Returned, Status> {
    let mut arguments = Vec::with_capacity(inputs.len());
    // Arguments are told by their places: of those that are left out, the last ones need no place.
    let last = inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    for ((spec, is_number), input) in specs.iter().zip(numbers).zip(inputs).take(last) {
        arguments.push(match input {
            None => IValue::None,
            Some(view) => argument(spec.dtype, *is_number, *view, device)
                .map_err(|status| status.context(format_args!("input {}", Quoted(&spec.name))))?,
        });
    }
    let returned = {
        let _turn = Turn::take();
        let _no_grad = tch::no_grad_guard();
        module.forward_is(&arguments)
    };
    let returned =
        returned.map_err(|error| Status::invalid_argument(format!("libtorch: {}", error::said(&error))))?;
    take_apart(returned)
}

fn argument(dtype: DType, is_number: bool, view: TensorView<'_>, device: Device) -> Result<IValue, Status> {
    Ok(match is_number.then_some(dtype) {
        Some(DType::I64) => IValue::Int(only(view.as_slice::<i64>()?)?),
        Some(DType::F64) => IValue::Double(only(view.as_slice::<f64>()?)?),
        Some(DType::Bool) => IValue::Bool(view.bytes().is_some_and(|bytes| bytes.first() == Some(&1))),
        _ => IValue::Tensor(to_torch(view, device)?),
    })
}

fn only<T: Copy>(values: &[T]) -> Result<T, Status> {
    values.first().copied().ok_or_else(|| Status::internal("a number without a value"))
}

impl Model for TorchModel {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        request.context.check(Instant::now())?;
        self.answer(request).map_err(|status| {
            let model = self.id.to_string();
            status.context(format_args!("model {}", Quoted(&model)))
        })
    }
}
