//! From a file to a model.

use std::path::Path;

use salver_core_platform::{LoadRequest, OperatorLibraries};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{Shape, Tensor};
use tch::{CModule, Device};

use crate::model::{Form, Runner, TorchModel};
use crate::settings::{OPERATOR_LIBRARIES, Settings};
use crate::signature::{Said, SaidTensor, read_dtype};
use crate::threads::Threads;
use crate::values::{Output, Returned};
use crate::{archive, error, files, operators};

/// What was opened of libraries of operators: libtorch has one registry of them.
static OPERATORS: OperatorLibraries = OperatorLibraries::new();

/// Loads a module, and finds out what it takes and returns.
///
/// # Errors
/// INVALID_ARGUMENT or FAILED_PRECONDITION that names the option, or what `model.toml` lacks; DATA_LOSS where the file is
/// no module; CANCELLED.
pub(crate) fn load(threads: &Threads, request: &LoadRequest<'_>) -> Result<TorchModel, Status> {
    let settings = Settings::read(request.options)?;
    let file = files::of(request.directory, settings.file.as_deref())?;
    let in_file = |status: Status| status.context(format_args!("`{}`", file.display()));
    let said = Said::read(settings.signature.as_deref())?;
    let arguments = archive::forward(&file).map_err(|what| in_file(Status::data_loss(what)))?;
    let inputs = said.inputs(&arguments).map_err(in_file)?;
    let operators = request.options.files(OPERATOR_LIBRARIES, request.directory)?;
    let device = settings.device.open()?;
    threads.set(settings.intra_op_threads, settings.inter_op_threads)?;
    // For the process: with it, the first runs of every module are slow, and of every new shape.
    let profiling = tch::jit::f_set_profiling_mode(settings.profiling);
    profiling.map_err(|error| error::internal(&error))?;
    OPERATORS.open(&operators, operators::open)?;
    let runner = Runner::new(open(&file, device).map_err(in_file)?, device, threads);
    if request.cancel.is_cancelled() {
        return Err(Status::cancelled("the load is not wanted any more"));
    }
    let numbers: Vec<_> = arguments.iter().map(|argument| argument.kind.is_number()).collect();
    let (outputs, form) = outputs(&said, &runner, &inputs, &numbers).map_err(in_file)?;
    let signatures = SignatureSet::new(vec![Signature::predict(inputs, outputs)])?;
    Ok(TorchModel::new(runner, signatures, numbers, form))
}

fn open(file: &Path, device: Device) -> Result<CModule, Status> {
    let loaded = CModule::load_on_device(file, device);
    let mut module = loaded
        .map_err(|error| Status::data_loss(format!("libtorch does not load it: {}", error::said(&error))))?;
    module.f_set_eval().map_err(|error| error::internal(&error))?;
    Ok(module)
}

/// The outputs, as they are said, or as a run on zeros shows them; and whether they come by name.
fn outputs(
    said: &Said,
    runner: &Runner,
    inputs: &[TensorSpec],
    numbers: &[bool],
) -> Result<(Vec<TensorSpec>, Form), Status> {
    let trial = || {
        let zeros: Vec<_> = inputs.iter().map(zeros).collect::<Result<_, _>>()?;
        let views: Vec<_> = zeros.iter().map(|zeros| zeros.as_ref().map(Tensor::view)).collect();
        runner.compute(&views, inputs, numbers)
    };
    let missing = |status: Status| {
        Status::invalid_argument(format!(
            "what `forward` returns is not known, and a run on zeros does not show it ({status}): say it in \
             `model.toml` beside the versions, such as: [signature] outputs = [{{ name = \"y\", dtype = \"FP32\" }}]"
        ))
    };
    let is_rank_shown = inputs.iter().all(|input| input.shape.dims().is_some());
    match &said.outputs {
        Some(outputs) if outputs.iter().all(|output| output.dtype.is_some()) => {
            // Whether they come by name, a run still has to show; where it cannot, the first request's run does.
            let form = match trial() {
                Err(_) => Form::Unknown,
                Ok(returned) => {
                    let form = form_of(&returned);
                    shown(returned, Some(outputs), is_rank_shown)?;
                    form
                }
            };
            Ok((outputs.iter().map(said_output).collect::<Result<_, _>>()?, form))
        }
        outputs => {
            let returned = trial().map_err(missing)?;
            let form = form_of(&returned);
            Ok((shown(returned, outputs.as_deref(), is_rank_shown)?, form))
        }
    }
}

fn form_of(returned: &Returned) -> Form {
    match returned {
        Returned::Listed(_) => Form::Listed,
        Returned::Named(_) => Form::Named,
    }
}

fn said_output(said: &SaidTensor) -> Result<TensorSpec, Status> {
    let dtype = read_dtype(&said.name, said.dtype.as_deref().unwrap_or_default())?;
    let shape = said.shape.as_deref().map_or_else(ShapeSpec::any, ShapeSpec::of);
    Ok(TensorSpec::new(&said.name, dtype, shape))
}

/// What a run returned, under the names that are said where it has none of its own. Where an input may have any number of
/// dimensions, outputs may.
fn shown(
    returned: Returned,
    said: Option<&[SaidTensor]>,
    is_rank_shown: bool,
) -> Result<Vec<TensorSpec>, Status> {
    let spec = |name: &str, output: &Output, said: Option<&SaidTensor>| {
        let dtype = match said.and_then(|said| said.dtype.as_deref()) {
            Some(text) => read_dtype(name, text)?,
            None => output.dtype()?,
        };
        let shape = match said.and_then(|said| said.shape.as_deref()) {
            Some(dims) => ShapeSpec::of(dims),
            // Which of the sizes would be others for other inputs, one run does not show.
            None if is_rank_shown => ShapeSpec::of(&vec![-1; output.rank()]),
            None => ShapeSpec::any(),
        };
        Ok(TensorSpec::new(name, dtype, shape))
    };
    match returned {
        Returned::Listed(outputs) => {
            let (found, one) = (outputs.len(), outputs.len() == 1);
            if let Some(said) = said.filter(|said| said.len() != found) {
                return Err(Status::invalid_argument(format!(
                    "[signature] has {} outputs, but `forward` returns {found}",
                    said.len()
                )));
            }
            let named = outputs.iter().enumerate().map(|(index, output)| {
                let said = said.and_then(|said| said.get(index));
                let name = match said {
                    Some(said) => said.name.clone(),
                    None if one => "output".to_owned(),
                    None => format!("output_{index}"),
                };
                spec(&name, output, said)
            });
            named.collect()
        }
        Returned::Named(outputs) => match said {
            None => outputs.iter().map(|(name, output)| spec(name, output, None)).collect(),
            Some(said) => {
                let found = said.iter().map(|said| {
                    let output = outputs.iter().find(|(name, _)| *name == said.name);
                    let (name, output) = output.ok_or_else(|| {
                        let keys: Vec<_> = outputs.iter().map(|(name, _)| name.as_str()).collect();
                        Status::invalid_argument(format!(
                            "[signature] has an output {}, but `forward` returns a dictionary of: {}",
                            Quoted(&said.name),
                            keys.join(", ")
                        ))
                    })?;
                    spec(name, output, Some(said))
                });
                found.collect()
            }
        },
    }
}

/// Zeros for an input, of size 1 where any is right; its default where it has one, nothing where it may be left out.
fn zeros(spec: &TensorSpec) -> Result<Option<Tensor>, Status> {
    if spec.is_optional {
        return Ok(spec.default.clone());
    }
    let dims: Vec<i64> = spec.shape.dims().unwrap_or(&[-1]).iter().map(|dim| dim.abs()).collect();
    let shape = Shape::new(&dims)?;
    let size = shape.byte_count(spec.dtype).unwrap_or(0);
    Ok(Some(Tensor::from_bytes(spec.dtype, shape, vec![0; size].into())?))
}
