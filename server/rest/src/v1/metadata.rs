//! A model's signatures, as TensorFlow Serving shows them: the JSON form of its messages, in which 64-bit integers are
//! strings and defaults are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use salver_core_servable::ServableId;
use salver_core_signature::{Signature, SignatureSet, TensorSpec};
use salver_core_tensor::{DType, Element, Strings, Tensor};
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
    defaults: Map<&'a str, DefaultTensor<'a>>,
}

#[derive(Serialize)]
struct TensorInfo<'a> {
    dtype: &'static str,
    tensor_shape: TensorShape,
    name: &'a str,
}

/// A `TensorProto`.
#[derive(Serialize)]
struct DefaultTensor<'a> {
    dtype: &'static str,
    tensor_shape: TensorShape,
    version_number: i32,
    #[serde(flatten)]
    values: Values<'a>,
}

/// The elements, where TensorFlow's `make_tensor_proto` puts them: a single number into the list of its type, more of them
/// into the content, strings into their list.
enum Values<'a> {
    Float(f32),
    Double(f64),
    Int(i32),
    Int64(i64),
    Bool(bool),
    Content(&'a [u8]),
    Strings(&'a Strings),
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
        defaults: Map(signature.inputs.iter().filter_map(default).collect()),
    }
}

fn default(input: &TensorSpec) -> Option<(&str, DefaultTensor<'_>)> {
    let tensor = input.default.as_ref()?;
    let tensor_shape = tensor_shape(Some(tensor.shape().dims()));
    let (dtype, values) = (data_type(tensor.dtype()), Values::of(tensor));
    Some((&input.name, DefaultTensor { dtype, tensor_shape, version_number: 0, values }))
}

impl<'a> Values<'a> {
    fn of(tensor: &'a Tensor) -> Self {
        fn single<T: Element>(tensor: &Tensor) -> Option<T> {
            match tensor.view().as_slice::<T>() {
                Ok([value]) => Some(*value),
                _ => None,
            }
        }
        let number = match tensor.dtype() {
            DType::F32 => single(tensor).map(Values::Float),
            DType::F64 => single(tensor).map(Values::Double),
            DType::I32 => single(tensor).map(Values::Int),
            DType::I64 => single(tensor).map(Values::Int64),
            DType::Bool => single(tensor).map(Values::Bool),
            _ => None,
        };
        let all = || match tensor.strings() {
            Some(strings) => Values::Strings(strings),
            None => Values::Content(tensor.fixed().map_or(&[][..], |bytes| bytes)),
        };
        number.unwrap_or_else(all)
    }
}

/// One field, as `google.protobuf`'s JSON has it.
impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Values::Float(value) if value.is_finite() => map.serialize_entry("float_val", &[value])?,
            Values::Float(value) => map.serialize_entry("float_val", &[odd((*value).into())])?,
            Values::Double(value) if value.is_finite() => map.serialize_entry("double_val", &[value])?,
            Values::Double(value) => map.serialize_entry("double_val", &[odd(*value)])?,
            Values::Int(value) => map.serialize_entry("int_val", &[value])?,
            Values::Int64(value) => map.serialize_entry("int64_val", &[value.to_string()])?,
            Values::Bool(value) => map.serialize_entry("bool_val", &[value])?,
            Values::Content(bytes) => map.serialize_entry("tensor_content", &BASE64.encode(bytes))?,
            Values::Strings(strings) => {
                let strings: Vec<_> = strings.iter().map(|string| BASE64.encode(string)).collect();
                map.serialize_entry("string_val", &strings)?;
            }
        }
        map.end()
    }
}

/// The word for a number that JSON has none for.
fn odd(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

fn tensor_info(spec: &TensorSpec) -> (&str, TensorInfo<'_>) {
    let tensor_shape = tensor_shape(spec.shape.dims());
    (&spec.name, TensorInfo { dtype: data_type(spec.dtype), tensor_shape, name: spec.name_in_graph() })
}

/// The shape of these dimensions, of any rank where there are none.
fn tensor_shape(dims: Option<&[i64]>) -> TensorShape {
    let dim = dims.unwrap_or_default().iter().map(|size| Dim { size: size.to_string(), name: "" }).collect();
    TensorShape { dim, unknown_rank: dims.is_none() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_signature::ShapeSpec;
    use salver_core_tensor::Shape;
    use serde_json::json;

    fn shown(signature: Signature) -> serde_json::Value {
        serde_json::to_value(signature_def(&signature)).unwrap()
    }

    #[test]
    fn a_tensor_has_the_name_of_its_node_where_the_model_is_a_graph() {
        let spec = TensorSpec::new("x", DType::F32, ShapeSpec::of(&[-1])).in_graph("serving_x:0");
        let shown = shown(Signature::predict(vec![spec.clone()], vec![spec]));
        assert_eq!(shown["inputs"]["x"]["name"], "serving_x:0");
        assert_eq!(shown["outputs"]["x"]["name"], "serving_x:0");
    }

    #[test]
    fn defaults_are_shown_where_tensorflow_puts_their_values() {
        let input = |name: &str, default: Tensor| {
            TensorSpec::new(name, default.dtype(), ShapeSpec::any()).optional(Some(default))
        };
        let one = Shape::scalar;
        let strings: Strings = [&b"a"[..], b"\xff"].into_iter().collect();
        let inputs = vec![
            input("float", Tensor::from_vec(one(), vec![0.5f32]).unwrap()),
            input("odd", Tensor::from_vec(one(), vec![f64::NEG_INFINITY]).unwrap()),
            input("int", Tensor::from_vec(one(), vec![-7i32]).unwrap()),
            input("long", Tensor::from_vec(one(), vec![1i64 << 60]).unwrap()),
            input("bool", Tensor::from_vec(one(), vec![true]).unwrap()),
            input("two", Tensor::from_vec(Shape::new(&[2]).unwrap(), vec![1u8, 255]).unwrap()),
            input("strings", Tensor::from_strings(Shape::new(&[2]).unwrap(), strings).unwrap()),
            TensorSpec::new("required", DType::F32, ShapeSpec::any()),
        ];
        let defaults = &shown(Signature::predict(inputs, Vec::new()))["defaults"];
        assert_eq!(
            defaults["float"],
            json!({
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": [], "unknown_rank": false},
                "version_number": 0,
                "float_val": [0.5],
            })
        );
        assert_eq!(defaults["odd"]["double_val"], json!(["-Infinity"]));
        assert_eq!(defaults["int"]["int_val"], json!([-7]));
        assert_eq!(defaults["long"]["int64_val"], json!(["1152921504606846976"]));
        assert_eq!(defaults["bool"]["bool_val"], json!([true]));
        assert_eq!(defaults["two"]["tensor_shape"]["dim"], json!([{"size": "2", "name": ""}]));
        assert_eq!(defaults["two"]["tensor_content"], "Af8=");
        assert_eq!(defaults["strings"]["string_val"], json!(["YQ==", "/w=="]));
        assert_eq!(defaults["required"], serde_json::Value::Null);
    }
}
