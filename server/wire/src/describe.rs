//! Signatures as clients are shown them.

use salver_core_signature::{Signature, SignatureSet, TensorSpec};
use salver_core_status::Status;
use salver_proto::inference::model_metadata_response::TensorMetadata;
use salver_proto::tensorflow::serving::SignatureDefMap;
use salver_proto::tensorflow::serving::signature_def_map::SignatureDefEntry;
use salver_proto::tensorflow::signature_def::{DefaultsEntry, InputsEntry, OutputsEntry};
use salver_proto::tensorflow::tensor_shape_proto::Dim;
use salver_proto::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto, tensor_info::Encoding};

use crate::{TensorForm, dtype, encode_tensor};

/// The signatures as TensorFlow Serving shows them.
///
/// # Errors
/// INTERNAL where a default is not the tensor it says it is.
pub fn signature_def_map(signatures: &SignatureSet) -> Result<SignatureDefMap, Status> {
    let entry = |signature: &Signature| {
        let value = Some(signature_def(signature)?);
        Ok(SignatureDefEntry { key: signature.name.clone(), value })
    };
    let signature_def = signatures.iter().map(entry).collect::<Result<_, Status>>()?;
    Ok(SignatureDefMap { signature_def })
}

fn signature_def(signature: &Signature) -> Result<SignatureDef, Status> {
    let (inputs, outputs) = (signature.inputs.iter(), signature.outputs.iter());
    let mut defaults = Vec::new();
    for input in &signature.inputs {
        if let Some(default) = &input.default {
            let value = Some(encode_tensor(default, TensorForm::Lists)?);
            defaults.push(DefaultsEntry { key: input.name.clone(), value });
        }
    }
    Ok(SignatureDef {
        inputs: inputs.map(|i| InputsEntry { key: i.name.clone(), value: Some(tensor_info(i)) }).collect(),
        outputs: outputs.map(|o| OutputsEntry { key: o.name.clone(), value: Some(tensor_info(o)) }).collect(),
        method_name: signature.method.clone(),
        defaults,
    })
}

fn tensor_info(spec: &TensorSpec) -> TensorInfo {
    let dims = spec.shape.dims();
    let dim = |size: &i64| Dim { size: *size, name: String::new() };
    TensorInfo {
        encoding: Some(Encoding::Name(spec.name_in_graph().to_owned())),
        dtype: dtype::to_tensorflow(spec.dtype) as i32,
        tensor_shape: Some(TensorShapeProto {
            dim: dims.unwrap_or_default().iter().map(dim).collect(),
            unknown_rank: dims.is_none(),
        }),
    }
}

/// An input or output as the Open Inference Protocol shows it. It has no word for any number of dimensions: that is
/// shown as one dimension of any size.
pub fn tensor_metadata(spec: &TensorSpec) -> TensorMetadata {
    TensorMetadata {
        name: spec.name.clone(),
        datatype: spec.dtype.name().to_owned(),
        shape: spec.shape.dims().unwrap_or(&[-1]).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_signature::ShapeSpec;
    use salver_core_tensor::{DType, Shape, Tensor};
    use salver_proto::tensorflow::DataType;

    #[test]
    fn a_signature_is_shown_with_its_free_dimensions_and_defaults() {
        let half = Tensor::from_vec(Shape::scalar(), vec![0.5f32]).unwrap();
        let signature = Signature::predict(
            vec![TensorSpec::new("x", DType::F32, ShapeSpec::of(&[-1, 3])).optional(Some(half))],
            vec![TensorSpec::new("y", DType::String, ShapeSpec::any())],
        );
        let map = signature_def_map(&SignatureSet::new(vec![signature]).unwrap()).unwrap();
        let [SignatureDefEntry { key, value: Some(shown) }] = &map.signature_def[..] else {
            panic!("{map:?}")
        };
        assert_eq!(
            (key.as_str(), shown.method_name.as_str()),
            ("serving_default", "tensorflow/serving/predict")
        );
        let x = shown.inputs[0].value.as_ref().unwrap();
        assert_eq!((shown.inputs[0].key.as_str(), x.dtype()), ("x", DataType::DtFloat));
        let sizes: Vec<_> = x.tensor_shape.as_ref().unwrap().dim.iter().map(|dim| dim.size).collect();
        assert_eq!(sizes, [-1, 3]);
        assert!(shown.outputs[0].value.as_ref().unwrap().tensor_shape.as_ref().unwrap().unknown_rank);
        assert_eq!(shown.defaults[0].value.as_ref().unwrap().float_val, [0.5]);
    }

    #[test]
    fn a_free_rank_is_one_free_dimension_in_the_open_inference_protocol() {
        let shown = tensor_metadata(&TensorSpec::new("y", DType::String, ShapeSpec::any()));
        assert_eq!((shown.datatype.as_str(), &shown.shape[..]), ("BYTES", &[-1][..]));
    }
}
