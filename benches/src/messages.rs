//! The requests, made before anything is measured, and a look at what they are answered.

use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use salver_core_tensor::{DType, Shape, Tensor};
use salver_proto::inference::model_infer_request::InferInputTensor;
use salver_proto::inference::{ModelInferRequest, ModelInferResponse};
use salver_proto::tensorflow::serving::model_spec::VersionChoice;
use salver_proto::tensorflow::serving::predict_request::InputsEntry;
use salver_proto::tensorflow::serving::{ModelSpec, PredictRequest};
use salver_proto::tensorflow::tensor_shape_proto::Dim;
use salver_proto::tensorflow::{DataType, TensorProto, TensorShapeProto};

use crate::client::{Answer, Request, Transport};
use crate::models;

/// One input for one model.
pub(crate) struct Message {
    model: &'static str,
    input: &'static str,
    shape: [i64; 2],
    values: Vec<u8>,
}

/// For the echo model.
pub(crate) fn small() -> anyhow::Result<Message> {
    let values = models::small_input()?.fixed().context("floats have a fixed size")?.to_vec();
    Ok(Message { model: models::SMALL, input: models::INPUT, shape: models::SHAPE, values })
}

/// For the sample model: a picture, of which it does not matter what it shows.
pub(crate) fn digits() -> anyhow::Result<Message> {
    const PIXELS: u16 = 64;
    let values = (0..PIXELS).flat_map(|pixel| f32::from(pixel % 17).to_le_bytes()).collect();
    Ok(Message { model: "digits", input: "pixels", shape: [1, i64::from(PIXELS)], values })
}

/// A row of floats for a model with an input `x`.
pub(crate) fn row(model: &'static str, row: &[f32]) -> Message {
    let values = row.iter().flat_map(|value| value.to_le_bytes()).collect();
    Message { model, input: "x", shape: [1, row.len() as i64], values }
}

impl Message {
    /// The message as a request of the Open Inference Protocol, its tensors in binary form.
    pub(crate) fn request(&self, transport: Transport) -> Request {
        match transport {
            Transport::Grpc => self.grpc(),
            Transport::Http => self.http(),
        }
    }

    /// The input, and its name.
    pub(crate) fn tensor(&self) -> anyhow::Result<(String, Tensor)> {
        let values = Bytes::copy_from_slice(&self.values);
        Ok((self.input.to_owned(), Tensor::from_bytes(DType::F32, Shape::new(&self.shape)?, values)?))
    }

    /// The message as a request of TensorFlow Serving, for the version with this label, or the latest.
    pub(crate) fn predict(&self, label: Option<&str>) -> PredictRequest {
        let dim = self.shape.iter().map(|&size| Dim { size, name: String::new() }).collect();
        let tensor = TensorProto {
            dtype: DataType::DtFloat as i32,
            tensor_shape: Some(TensorShapeProto { dim, unknown_rank: false }),
            tensor_content: Bytes::copy_from_slice(&self.values),
            ..TensorProto::default()
        };
        let label = label.map(|label| VersionChoice::VersionLabel(label.to_owned()));
        let spec = ModelSpec { name: self.model.to_owned(), version_choice: label, ..ModelSpec::default() };
        PredictRequest {
            model_spec: Some(spec),
            inputs: vec![InputsEntry { key: self.input.to_owned(), value: Some(tensor) }],
            ..PredictRequest::default()
        }
    }

    fn grpc(&self) -> Request {
        let message = ModelInferRequest {
            model_name: self.model.to_owned(),
            inputs: vec![InferInputTensor {
                name: self.input.to_owned(),
                datatype: "FP32".to_owned(),
                shape: self.shape.to_vec(),
                ..InferInputTensor::default()
            }],
            raw_input_contents: vec![Bytes::copy_from_slice(&self.values)],
            ..ModelInferRequest::default()
        };
        let path = "/inference.GRPCInferenceService/ModelInfer".to_owned();
        Request { transport: Transport::Grpc, path, head_bytes: 0, body: framed(&message.encode_to_vec()) }
    }

    fn http(&self) -> Request {
        let ([rows, columns], size) = (self.shape, self.values.len());
        let head = format!(
            "{{\"inputs\":[{{\"name\":\"{}\",\"shape\":[{rows},{columns}],\"datatype\":\"FP32\",\
             \"parameters\":{{\"binary_data_size\":{size}}}}}],\"parameters\":{{\"binary_data_output\":true}}}}",
            self.input
        );
        let mut body = BytesMut::from(head.as_str());
        body.put_slice(&self.values);
        let path = format!("/v2/models/{}/infer", self.model);
        Request { transport: Transport::Http, path, head_bytes: head.len(), body: body.freeze() }
    }
}

/// A gRPC message with its prefix.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// Whether a gRPC message is compressed, and its length.
const PREFIX: usize = 5;

/// The message that a gRPC answer consists of.
pub(crate) fn message<M: prost::Message + Default>(body: &Bytes) -> anyhow::Result<M> {
    ensure!(body.len() >= PREFIX, "the answer has {} bytes", body.len());
    Ok(M::decode(body.slice(PREFIX..))?)
}

/// The message that the answer to a `ModelInfer` consists of.
pub(crate) fn response(body: &Bytes) -> anyhow::Result<ModelInferResponse> {
    message(body)
}

/// Checks that an answer is what the model computes: the echo its input, digits a digit and ten probabilities.
pub(crate) fn check(transport: Transport, is_digits: bool, answer: &Answer) -> anyhow::Result<()> {
    let raw = match transport {
        Transport::Grpc => response(&answer.body)?.raw_output_contents.concat(),
        Transport::Http => {
            let head_bytes = answer.head_bytes.context("the answer is not in binary form")?;
            ensure!(head_bytes <= answer.body.len(), "the answer's head is longer than the answer");
            answer.body.slice(head_bytes..).to_vec()
        }
    };
    if !is_digits {
        ensure!(raw == small()?.values, "the echo answered something else: {raw:?}");
        return Ok(());
    }
    const DIGIT_BYTES: usize = size_of::<i64>();
    ensure!(raw.len() == DIGIT_BYTES + 10 * size_of::<f32>(), "digits answered {} bytes", raw.len());
    let (_, probabilities) = raw.split_at(DIGIT_BYTES);
    let sum: f32 = probabilities
        .chunks_exact(size_of::<f32>())
        .map(|bytes| bytes.try_into().map_or(f32::NAN, f32::from_le_bytes))
        .sum();
    ensure!((sum - 1.0).abs() < 1e-3, "the probabilities add up to {sum}");
    Ok(())
}
