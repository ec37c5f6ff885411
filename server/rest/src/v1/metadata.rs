//! A model's signatures, as TensorFlow Serving shows them: the JSON form of its messages, in which 64-bit integers are
//! strings and defaults are written.

use salver_core_servable::ServableId;
use salver_core_signature::{Signature, SignatureSet, TensorSpec};
use salver_core_tensor::DType;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// `GetModelMetadataResponse`.
#[derive(Serialize)]
pub(crate) struct MetadataDocument<'a> {
    model_spec: ModelSpec<'a>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct ModelSpec<'a> {
    name: &'a str,
    signature_name: &'static str,
    version: String,
}

#[derive(Serialize)]
struct Metadata<'a> {
    signature_def: SignatureDefMap<'a>,
}

#[derive(Serialize)]
struct SignatureDefMap<'a> {
    signature_def: Map<&'a str, SignatureDef<'a>>,
}

#[derive(Serialize)]
struct SignatureDef<'a> {
    inputs: Map<&'a str, TensorInfo<'a>>,
    outputs: Map<&'a str, TensorInfo<'a>>,
    method_name: &'a str,
}

#[derive(Serialize)]
struct TensorInfo<'a> {
    dtype: &'static str,
    tensor_shape: TensorShape,
    /// TensorFlow Serving shows a node of the graph; a model without a graph has only the name.
    name: &'a str,
}

#[derive(Serialize)]
struct TensorShape {
    dim: Vec<Dim>,
    unknown_rank: bool,
}

#[derive(Serialize)]
struct Dim {
    size: String,
    name: &'static str,
}

/// An object whose keys stay in order.
struct Map<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The signatures of the version `id`.
pub(crate) fn of<'a>(id: &'a ServableId, signatures: &'a SignatureSet) -> MetadataDocument<'a> {
    let version = id.version.to_string();
    let model_spec = ModelSpec { name: id.name.as_str(), signature_name: "", version };
    let signatures = signatures.iter().map(|signature| (signature.name.as_str(), signature_def(signature)));
    let signature_def = SignatureDefMap { signature_def: Map(signatures.collect()) };
    MetadataDocument { model_spec, metadata: Metadata { signature_def } }
}

fn signature_def(signature: &Signature) -> SignatureDef<'_> {
    let (inputs, outputs) = (signature.inputs.iter(), signature.outputs.iter());
    SignatureDef {
        inputs: Map(inputs.map(tensor_info).collect()),
        outputs: Map(outputs.map(tensor_info).collect()),
        method_name: &signature.method,
    }
}

fn tensor_info(spec: &TensorSpec) -> (&str, TensorInfo<'_>) {
    let dims = spec.shape.dims();
    let dim = dims.unwrap_or_default().iter().map(|size| Dim { size: size.to_string(), name: "" }).collect();
    let tensor_shape = TensorShape { dim, unknown_rank: dims.is_none() };
    (&spec.name, TensorInfo { dtype: data_type(spec.dtype), tensor_shape, name: &spec.name })
}

/// The name in TensorFlow's `types.proto`.
const fn data_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "DT_BOOL",
        DType::U8 => "DT_UINT8",
        DType::U16 => "DT_UINT16",
        DType::U32 => "DT_UINT32",
        DType::U64 => "DT_UINT64",
        DType::I8 => "DT_INT8",
        DType::I16 => "DT_INT16",
        DType::I32 => "DT_INT32",
        DType::I64 => "DT_INT64",
        DType::F16 => "DT_HALF",
        DType::F32 => "DT_FLOAT",
        DType::F64 => "DT_DOUBLE",
        DType::String => "DT_STRING",
        DType::BF16 => "DT_BFLOAT16",
        DType::C64 => "DT_COMPLEX64",
        DType::C128 => "DT_COMPLEX128",
        DType::F8E4M3FN => "DT_FLOAT8_E4M3FN",
        DType::F8E4M3FNUZ => "DT_FLOAT8_E4M3FNUZ",
        DType::F8E5M2 => "DT_FLOAT8_E5M2",
        DType::F8E5M2FNUZ => "DT_FLOAT8_E5M2FNUZ",
        DType::QI8 => "DT_QINT8",
        DType::QU8 => "DT_QUINT8",
        DType::QI16 => "DT_QINT16",
        DType::QU16 => "DT_QUINT16",
        DType::QI32 => "DT_QINT32",
    }
}
