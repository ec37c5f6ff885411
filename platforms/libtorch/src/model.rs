//! A loaded module.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use salver_core_platform::{Model, RunRequest};
use salver_core_signature::{SignatureSet, TensorSpec};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Tensor, TensorView};
use tch::{CModule, Device, IValue};

use crate::error;
use crate::threads::Threads;
use crate::values::{Output, Returned, take_apart, to_torch};

/// A module with its signature. Dropping it frees the module.
pub(crate) struct TorchModel {
    runner: Runner,
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
    pub(crate) fn new(runner: Runner, signatures: SignatureSet, numbers: Vec<bool>, form: Form) -> Self {
        Self { runner, signatures, numbers, form }
    }

    fn answer(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let signature = self.signatures.as_slice().get(request.signature);
        let signature = signature
            .ok_or_else(|| Status::internal(format!("there is no signature {}", request.signature)))?;
        let returned = self.runner.compute(request.inputs, &signature.inputs, &self.numbers)?;
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

/// A module, and how it runs.
#[derive(Clone)]
pub(crate) struct Runner {
    module: Arc<CModule>,
    device: Device,
    threads: Threads,
    /// What a run on one thread took last, in nanoseconds; 0 where there was none.
    alone_ns: Arc<AtomicU64>,
}

/// An argument on its way to the thread that computes.
enum Argument {
    None,
    Tensor(tch::Tensor),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl Runner {
    pub(crate) fn new(module: CModule, device: Device, threads: &Threads) -> Self {
        Self { module: Arc::new(module), device, threads: threads.clone(), alone_ns: Arc::default() }
    }

    /// Runs `forward`; `numbers` says which inputs are numbers there.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where libtorch fails, as it does on shapes that do not fit: it does not tell faults of the input
    /// from others.
    pub(crate) fn compute(
        &self,
        inputs: &[Option<TensorView<'_>>],
        specs: &[TensorSpec],
        numbers: &[bool],
    ) -> Result<Returned, Status> {
        /// A run that takes less gains less from several threads than it takes to pass it to them.
        const WIDE_FROM_NS: u64 = 1_000_000;
        let mut arguments = Vec::with_capacity(inputs.len());
        // Arguments are told by their places: of those that are left out, the last ones need no place.
        let last = inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        for ((spec, is_number), input) in specs.iter().zip(numbers).zip(inputs).take(last) {
            arguments.push(match input {
                None => Argument::None,
                Some(view) => argument(spec.dtype, *is_number, *view, self.device)
                    .map_err(|status| status.context(format_args!("input {}", Quoted(&spec.name))))?,
            });
        }
        let module = Arc::clone(&self.module);
        let may_be_wide = self.device == Device::Cpu && self.alone_ns.load(Ordering::Relaxed) >= WIDE_FROM_NS;
        let work = move || {
            let start = Instant::now();
            let _no_grad = tch::no_grad_guard();
            let arguments: Vec<IValue> = arguments.into_iter().map(IValue::from).collect();
            let returned = module.forward_is(&arguments);
            let returned = returned
                .map_err(|error| Status::invalid_argument(format!("libtorch: {}", error::said(&error))))
                .and_then(take_apart);
            (returned, start.elapsed())
        };
        let run = self.threads.run(may_be_wide, work);
        let ((returned, took), was_alone) =
            run.ok_or_else(|| Status::internal("the thread that computes panicked"))?;
        if was_alone {
            let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            self.alone_ns.store(took, Ordering::Relaxed);
        }
        returned
    }
}

impl From<Argument> for IValue {
    fn from(argument: Argument) -> Self {
        match argument {
            Argument::None => IValue::None,
            Argument::Tensor(tensor) => IValue::Tensor(tensor),
            Argument::Int(number) => IValue::Int(number),
            Argument::Float(number) => IValue::Double(number),
            Argument::Bool(value) => IValue::Bool(value),
        }
    }
}

fn argument(dtype: DType, is_number: bool, view: TensorView<'_>, device: Device) -> Result<Argument, Status> {
    Ok(match is_number.then_some(dtype) {
        Some(DType::I64) => Argument::Int(only(view.as_slice::<i64>()?)?),
        Some(DType::F64) => Argument::Float(only(view.as_slice::<f64>()?)?),
        Some(DType::Bool) => Argument::Bool(view.bytes().is_some_and(|bytes| bytes.first() == Some(&1))),
        _ => Argument::Tensor(to_torch(view, device)?),
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
        self.answer(request)
    }
}
