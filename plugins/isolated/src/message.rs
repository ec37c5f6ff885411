//! What is said between the server and a worker, and how core's types are written in it.
//!
//! Both ends are the same program, so that nothing here has to last; but a worker runs foreign code, and nothing that
//! comes from it is taken for right before it is checked.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use salver_core_platform::{LoadRequest, OptionValue, Options, Probe};
use salver_core_resource::{Allocation, Estimate, Resource};
use salver_core_servable::{ServableId, Version};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::{Code, Status};
use salver_core_tensor::{DType, Shape, Strings, Tensor};
use salver_plugins_host::MetricKind;
use serde::{Deserialize, Serialize};

/// What the server says to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// The first: which platform it is to be.
    Open { plugin: RawPath, platform: String, cpu_threads: usize },
    /// Answered with [`FromWorker::Probed`].
    Probe { directory: RawPath },
    /// Answered with [`FromWorker::Estimated`].
    Estimate(Load),
    /// Answered with [`FromWorker::Loaded`]; once.
    Load(Load),
    /// The load is no longer wanted.
    Cancel,
    /// Here is a socket (sent along) on which runs will be asked for, one after another.
    Lane,
    /// The model is no longer needed. Answered with [`FromWorker::Unloaded`]; the last.
    Unload,
}

/// What a worker says to the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    Opened(Result<(), Failure>),
    Probed {
        file: Option<String>,
        reason: String,
    },
    Estimated(Result<Option<Taken>, Failure>),
    Loaded(Result<Loaded, Failure>),
    Unloaded,
    /// A metric that the plugin makes, by a number of the worker's.
    Metric {
        number: u64,
        plugin: String,
        kind: Kind,
        name: String,
        help: String,
    },
    /// A value of it.
    Record {
        number: u64,
        value: f64,
    },
}

/// One run, on a lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run<'a> {
    pub(crate) signature: usize,
    pub(crate) inputs: Vec<Option<Placed>>,
    pub(crate) outputs: Vec<usize>,
    /// How much time is left.
    pub(crate) time: Option<Duration>,
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) trace_flags: u8,
    #[serde(borrow)]
    pub(crate) request_id: &'a str,
    pub(crate) parameters: Vec<(String, Value)>,
    /// Segments of outputs that the server needs no more.
    pub(crate) released: Vec<u32>,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) outcome: Result<Vec<Placed>, Failure>,
    /// Where the outputs lie; a segment that the server does not have yet is sent along.
    pub(crate) segment: u32,
    /// Segments that the worker needs no more, although they are released.
    pub(crate) dropped: Vec<u32>,
}

/// A tensor in a segment. Strings lie there in the Open Inference Protocol's raw form.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) dtype: u32,
    pub(crate) dims: Vec<i64>,
    pub(crate) at: usize,
    pub(crate) size: usize,
}

/// A path, which need not be UTF-8.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RawPath(Vec<u8>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    name: String,
    version: i64,
    directory: RawPath,
    options: Vec<(String, Value)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Loaded {
    signatures: Vec<Described>,
    resources: Option<Vec<Quantity>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Described {
    name: String,
    method: String,
    inputs: Vec<Spec>,
    outputs: Vec<Spec>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Spec {
    name: String,
    dtype: u32,
    dims: Option<Vec<i64>>,
    is_shape_advisory: bool,
    graph_name: Option<String>,
    is_optional: bool,
    default: Option<Inline>,
}

/// A small tensor.
#[derive(Debug, Serialize, Deserialize)]
struct Inline {
    dtype: u32,
    dims: Vec<i64>,
    bytes: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    loading: Vec<Quantity>,
    loaded: Vec<Quantity>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Quantity {
    device: String,
    instance: Option<u32>,
    kind: String,
    quantity: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    code: u32,
    message: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What is wrong with something that the other end said.
fn wrong(what: impl std::fmt::Display) -> Status {
    Status::internal(format!("a worker said what cannot be: {what}"))
}

impl From<&Path> for RawPath {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

impl From<RawPath> for PathBuf {
    fn from(path: RawPath) -> Self {
        OsString::from_vec(path.0).into()
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { code: status.code() as u32, message: status.message().to_owned() }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        Status::new(Code::from_u32(failure.code).unwrap_or(Code::Unknown), failure.message)
    }
}

/// Options as they are sent.
pub(crate) fn values(options: &Options) -> Vec<(String, Value)> {
    let value = |value: &OptionValue| match value {
        OptionValue::Bool(value) => Value::Bool(*value),
        OptionValue::Int(value) => Value::Int(*value),
        OptionValue::Float(value) => Value::Float(*value),
        OptionValue::Text(value) => Value::Text(value.clone()),
    };
    options.iter().map(|(name, option)| (name.to_owned(), value(option))).collect()
}

/// Options as they were sent.
pub(crate) fn options(values: Vec<(String, Value)>) -> Options {
    let mut options = Options::new();
    for (name, value) in values {
        let value = match value {
            Value::Bool(value) => OptionValue::Bool(value),
            Value::Int(value) => OptionValue::Int(value),
            Value::Float(value) => OptionValue::Float(value),
            Value::Text(value) => OptionValue::Text(value),
        };
        options.set(name, value);
    }
    options
}

impl Load {
    pub(crate) fn new(request: &LoadRequest<'_>) -> Self {
        Self {
            name: request.id.name.as_str().to_owned(),
            version: request.id.version.number(),
            directory: request.directory.into(),
            options: values(request.options),
        }
    }

    /// # Errors
    /// INTERNAL where the version is below 0.
    pub(crate) fn into_parts(self) -> Result<(ServableId, PathBuf, Options), Status> {
        let version = Version::new(self.version).ok_or_else(|| wrong(self.version))?;
        Ok((ServableId::new(self.name, version), self.directory.into(), options(self.options)))
    }
}

impl Loaded {
    pub(crate) fn new(signatures: &SignatureSet, resources: Option<&Allocation>) -> Result<Self, Status> {
        let signatures = signatures.iter().map(described).collect::<Result<_, _>>()?;
        Ok(Self { signatures, resources: resources.map(quantities) })
    }

    /// # Errors
    /// INTERNAL where they are no signatures.
    pub(crate) fn into_parts(self) -> Result<(SignatureSet, Option<Allocation>), Status> {
        let signatures = self.signatures.into_iter().map(signature).collect::<Result<_, _>>()?;
        Ok((SignatureSet::new(signatures).map_err(wrong)?, self.resources.map(allocation)))
    }
}

fn described(signature: &Signature) -> Result<Described, Status> {
    let specs = |specs: &[TensorSpec]| specs.iter().map(spec).collect::<Result<_, _>>();
    Ok(Described {
        name: signature.name.clone(),
        method: signature.method.clone(),
        inputs: specs(&signature.inputs)?,
        outputs: specs(&signature.outputs)?,
    })
}

fn signature(said: Described) -> Result<Signature, Status> {
    let specs = |specs: Vec<Spec>| specs.into_iter().map(tensor_spec).collect::<Result<_, _>>();
    Ok(Signature {
        name: said.name,
        method: said.method,
        inputs: specs(said.inputs)?,
        outputs: specs(said.outputs)?,
    })
}

fn spec(spec: &TensorSpec) -> Result<Spec, Status> {
    Ok(Spec {
        name: spec.name.clone(),
        dtype: spec.dtype as u32,
        dims: spec.shape.dims().map(<[_]>::to_vec),
        is_shape_advisory: spec.is_shape_advisory,
        graph_name: spec.graph_name.clone(),
        is_optional: spec.is_optional,
        default: spec.default.as_ref().map(inline).transpose()?,
    })
}

fn tensor_spec(said: Spec) -> Result<TensorSpec, Status> {
    let shape = said.dims.map_or_else(ShapeSpec::any, |dims| ShapeSpec::of(&dims));
    let mut spec = TensorSpec::new(said.name, dtype(said.dtype)?, shape);
    (spec.is_shape_advisory, spec.graph_name) = (said.is_shape_advisory, said.graph_name);
    if !said.is_optional {
        return Ok(spec);
    }
    let default = said.default.map(|said| {
        let shape = Shape::new(&said.dims).map_err(wrong)?;
        tensor(dtype(said.dtype)?, shape, said.bytes.into())
    });
    Ok(spec.optional(default.transpose()?))
}

fn inline(tensor: &Tensor) -> Result<Inline, Status> {
    let bytes = match tensor.strings() {
        Some(strings) => strings.view().to_length_prefixed()?.to_vec(),
        None => tensor.fixed().map(|bytes| bytes.to_vec()).unwrap_or_default(),
    };
    Ok(Inline { dtype: tensor.dtype() as u32, dims: tensor.shape().dims().to_vec(), bytes })
}

/// # Errors
/// INTERNAL for a number that stands for no type.
pub(crate) fn dtype(number: u32) -> Result<DType, Status> {
    DType::from_u32(number).ok_or_else(|| wrong(format_args!("element type {number}")))
}

/// The tensor of these bytes, or of the strings that are in them.
///
/// # Errors
/// INTERNAL where there are more or fewer than the shape says.
pub(crate) fn tensor(dtype: DType, shape: Shape, bytes: bytes::Bytes) -> Result<Tensor, Status> {
    if dtype != DType::String {
        return Tensor::from_bytes(dtype, shape, bytes).map_err(wrong);
    }
    match Strings::from_length_prefixed(bytes, shape.element_count()).map_err(wrong)? {
        (strings, 0) => Tensor::from_strings(shape, strings).map_err(wrong),
        (_, left) => Err(wrong(format_args!("{left} bytes after the last string"))),
    }
}

impl From<&Estimate> for Taken {
    fn from(estimate: &Estimate) -> Self {
        Self { loading: quantities(&estimate.loading), loaded: quantities(&estimate.loaded) }
    }
}

impl From<Taken> for Estimate {
    fn from(taken: Taken) -> Self {
        Self { loading: allocation(taken.loading), loaded: allocation(taken.loaded) }
    }
}

fn quantities(allocation: &Allocation) -> Vec<Quantity> {
    let quantity = |(resource, quantity): (&Resource, u64)| Quantity {
        device: resource.device.clone(),
        instance: resource.instance,
        kind: resource.kind.clone(),
        quantity,
    };
    allocation.iter().map(quantity).collect()
}

fn allocation(quantities: Vec<Quantity>) -> Allocation {
    let quantity = |said: Quantity| {
        (Resource { device: said.device, instance: said.instance, kind: said.kind }, said.quantity)
    };
    quantities.into_iter().map(quantity).collect()
}

impl From<Probe> for FromWorker {
    fn from(probe: Probe) -> Self {
        match probe {
            Probe::Match { file } => FromWorker::Probed { file: Some(file), reason: String::new() },
            Probe::NoMatch { reason } => FromWorker::Probed { file: None, reason },
        }
    }
}

impl From<MetricKind> for Kind {
    fn from(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Kind::Counter,
            MetricKind::Gauge => Kind::Gauge,
            MetricKind::Histogram => Kind::Histogram,
        }
    }
}

impl From<Kind> for MetricKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => MetricKind::Counter,
            Kind::Gauge => MetricKind::Gauge,
            Kind::Histogram => MetricKind::Histogram,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_and_what_a_model_takes_come_back_as_they_were() {
        let strings: Strings = [&b"a\0b"[..], b"", b"\xff"].into_iter().collect();
        let strings = Tensor::from_strings(Shape::new(&[3]).unwrap(), strings).unwrap();
        let floats = Tensor::from_vec(Shape::new(&[2]).unwrap(), vec![1.5f32, f32::NAN]).unwrap();
        let spec = |name: &str, dtype| TensorSpec::new(name, dtype, ShapeSpec::of(&[-1]));
        let signature = Signature {
            name: "s".to_owned(),
            method: "m".to_owned(),
            inputs: vec![
                spec("x", DType::F32).optional(Some(floats)),
                spec("y", DType::String).optional(Some(strings)),
                spec("z", DType::Bool).optional(None),
            ],
            outputs: vec![
                TensorSpec::new("any", DType::I64, ShapeSpec::any()),
                spec("w", DType::F32).with_advisory_shape().in_graph("w:0"),
            ],
        };
        let set = SignatureSet::new(vec![signature]).unwrap();
        let mut resources = Allocation::ram_bytes(7);
        resources.set(Resource::unbound("gpu", "ram_in_bytes"), 9);
        let said = Loaded::new(&set, Some(&resources)).unwrap();
        let bytes = postcard::to_allocvec(&said).unwrap();
        let heard: Loaded = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(heard.into_parts().unwrap(), (set, Some(resources)));
    }

    #[test]
    fn an_element_type_that_there_is_not_is_told() {
        let status = dtype(99).unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains("99"), "{status}");
    }

    #[test]
    fn a_failure_keeps_its_code_and_its_words() {
        let status = Status::resource_exhausted("too much");
        assert_eq!(Status::from(Failure::from(status.clone())), status);
        assert_eq!(Status::from(Failure { code: 99, message: String::new() }).code(), Code::Unknown);
    }
}
