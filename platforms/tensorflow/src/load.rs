//! From a directory to a model.

use std::path::{Path, PathBuf};

use prost::Message;
use salver_core_platform::{LoadRequest, OperatorLibraries};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::{Quoted, Status};
use salver_platforms_tensorflow_sys as tf;
use tf::Session;

use crate::error::status;
use crate::meta::{MetaGraph, SavedModel, SignatureDef, TensorInfo};
use crate::model::{Ports, TensorFlowModel, from_tensorflow};
use crate::settings::{OPERATOR_LIBRARIES, Settings};
use crate::{LibrarySearch, dtype};

/// What a SavedModel is known by.
pub(crate) const FILE: &str = "saved_model.pb";

/// The folder that it may lie in, as in Triton's model repository.
pub(crate) const FOLDER: &str = "model.savedmodel";

/// Where a SavedModel's variables are listed.
const VARIABLES: &str = "variables/variables.index";

/// What TensorFlow 2 names the signature that initialises a model: not for requests.
const INIT: &str = "__saved_model_init_op";

/// What was opened of libraries of operators: TensorFlow has one registry of them.
static OPERATORS: OperatorLibraries = OperatorLibraries::new();

/// Loads a SavedModel.
///
/// # Errors
/// INVALID_ARGUMENT for options; NOT_FOUND where no graph has the tags; FAILED_PRECONDITION where TensorFlow, the device, or
/// a signature that can be served is not there; what TensorFlow says; CANCELLED.
pub(crate) fn load(
    search: &LibrarySearch,
    cpu_threads: usize,
    request: &LoadRequest<'_>,
) -> Result<TensorFlowModel, Status> {
    let settings = Settings::read(request.options)?;
    let inside = request.directory.join(FOLDER);
    let directory = if inside.join(FILE).is_file() { inside } else { request.directory.to_owned() };
    check_files(&directory, &settings.tags)?;
    let operators = request.options.files(OPERATOR_LIBRARIES, request.directory)?;
    let api = search.open(settings.library.as_deref())?;
    if request.cancel.is_cancelled() {
        return Err(Status::cancelled("the load is not wanted any more"));
    }
    OPERATORS.open(&operators, |library| api.load_operators(library).map_err(|error| status(&error)))?;
    let tags: Vec<_> = settings.tags.iter().map(String::as_str).collect();
    let loaded = Session::load(api, &directory, &tags, &settings.config(cpu_threads));
    let (session, meta) = loaded.map_err(|error| status(&error))?;
    if let Some(number) = settings.gpu
        && !session.has_device("GPU").map_err(|error| status(&error))?
    {
        return Err(Status::failed_precondition(format!(
            "option `device` is `cuda:{number}`, but this TensorFlow finds no such device"
        )));
    }
    let meta = MetaGraph::decode(&*meta)
        .map_err(|error| Status::data_loss(format!("its signatures cannot be read: {error}")))?;
    let (signatures, ports) = signatures(api, &session, &meta, settings.check_shapes)?;
    Ok(TensorFlowModel::new(api, session, signatures, ports))
}

/// TensorFlow says that a graph with these tags is not there, and not which are; and it loads a model without its variables,
/// to fail at each request.
fn check_files(directory: &Path, wanted: &[String]) -> Result<(), Status> {
    let path: PathBuf = directory.join(FILE);
    let shown = path.display();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Status::not_found(format!("`{}` has no `{FILE}`", directory.display())));
        }
        Err(error) => return Err(Status::unavailable(format!("reading `{shown}`: {error}"))),
    };
    let model = SavedModel::decode(&*bytes)
        .map_err(|error| Status::data_loss(format!("`{shown}` is no SavedModel: {error}")))?;
    let sorted = |tags: &[String]| {
        let mut tags = tags.to_vec();
        tags.sort();
        tags
    };
    let tags_of = |graph: &MetaGraph| sorted(graph.info.as_ref().map_or(&[], |info| &info.tags));
    if let Some(graph) = model.meta_graphs.iter().find(|graph| tags_of(graph) == sorted(wanted)) {
        let restores = graph.saver.as_ref().is_some_and(|saver| !saver.restore_op_name.is_empty());
        let variables = directory.join(VARIABLES);
        if restores && !variables.is_file() {
            return Err(Status::data_loss(format!("`{}` is missing", variables.display())));
        }
        return Ok(());
    }
    let there: Vec<_> =
        model.meta_graphs.iter().map(|graph| Quoted(&tags_of(graph).join(",")).to_string()).collect();
    Err(Status::not_found(format!(
        "option `tags` is {}, but the graphs in `{shown}` have: {}",
        Quoted(&wanted.join(",")),
        if there.is_empty() { "none".to_owned() } else { there.join(", ") }
    )))
}

/// The signatures that can be served, and where their tensors are in the graph.
fn signatures(
    api: &'static tf::TensorFlow,
    session: &Session,
    meta: &MetaGraph,
    check_shapes: bool,
) -> Result<(SignatureSet, Vec<Ports>), Status> {
    let (mut signatures, mut ports) = (Vec::new(), Vec::new());
    let mut refusals = Vec::new();
    for (name, def) in meta.signatures.iter().filter(|(name, _)| *name != INIT) {
        match signature(api, session, name, def, check_shapes) {
            Ok((signature, of_signature)) => {
                signatures.push(signature);
                ports.push(of_signature);
            }
            Err(status) => {
                tracing::warn!(signature = %Quoted(name), reason = %status, "a signature cannot be served");
                refusals.push(status.to_string());
            }
        }
    }
    if signatures.is_empty() {
        let why = if refusals.is_empty() { "it has none".to_owned() } else { refusals.join("; ") };
        return Err(Status::failed_precondition(format!("no signature can be served: {why}")));
    }
    Ok((SignatureSet::new(signatures)?, ports))
}

fn signature(
    api: &'static tf::TensorFlow,
    session: &Session,
    name: &str,
    def: &SignatureDef,
    check_shapes: bool,
) -> Result<(Signature, Ports), Status> {
    let place = |kind: &str, tensor: &str, info: &TensorInfo| {
        let refused = |what: String| {
            Status::failed_precondition(format!(
                "{kind} {} of signature {} {what}",
                Quoted(tensor),
                Quoted(name)
            ))
        };
        if info.name.is_empty() {
            return Err(refused("is no dense tensor".to_owned()));
        }
        let element = dtype::from_number(info.dtype);
        let element =
            element.ok_or_else(|| refused(format!("has TensorFlow's element type {}", info.dtype)))?;
        let port = session.port(&info.name);
        let port =
            port.ok_or_else(|| refused(format!("is {}, which the graph lacks", Quoted(&info.name))))?;
        let dims = info.shape.as_ref().filter(|shape| !shape.unknown_rank);
        let shape = dims.map_or_else(ShapeSpec::any, |shape| {
            ShapeSpec::of(&shape.dims.iter().map(|dim| dim.size).collect::<Vec<_>>())
        });
        // Shapes of signatures are for people: TensorFlow runs a graph on what it is fed, if its operations can.
        Ok((TensorSpec::new(tensor, element, shape).with_advisory_shape().in_graph(&info.name), port))
    };
    let mut inputs = Vec::new();
    for (input, info) in &def.inputs {
        let (mut spec, port) = place("input", input, info)?;
        spec.is_shape_advisory = !check_shapes;
        let default = def.defaults.get(input).map(|proto| {
            let tensor = api.tensor_of_proto(&proto.encode_to_vec()).map_err(|error| status(&error))?;
            from_tensorflow(tensor)
        });
        let default = default
            .transpose()
            .map_err(|status| status.context(format_args!("default of input {}", Quoted(input))))?;
        inputs.push((if default.is_some() { spec.optional(default) } else { spec }, port));
    }
    let outputs: Vec<_> =
        def.outputs.iter().map(|(output, info)| place("output", output, info)).collect::<Result<_, _>>()?;
    let (inputs, input_ports) = inputs.into_iter().unzip();
    let (outputs, output_ports) = outputs.into_iter().unzip();
    let signature = Signature { name: name.to_owned(), method: def.method_name.clone(), inputs, outputs };
    Ok((signature, Ports { inputs: input_ports, outputs: output_ports }))
}
