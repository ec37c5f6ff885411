//! gRPC clients and their messages.

#![expect(clippy::expect_used, reason = "this crate is there for tests alone")]

use bytes::Bytes;
use salver_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use salver_proto::inference::model_infer_request::InferInputTensor;
use salver_proto::inference::{ModelInferRequest, ModelInferResponse};
use salver_proto::tensorflow::serving::model_service_client::ModelServiceClient;
use salver_proto::tensorflow::serving::model_spec::VersionChoice;
use salver_proto::tensorflow::serving::predict_request::InputsEntry;
use salver_proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use salver_proto::tensorflow::serving::{
    GetModelStatusRequest, ModelSpec, ModelVersionStatus, PredictRequest, PredictResponse,
};
use salver_proto::tensorflow::tensor_shape_proto::Dim;
use salver_proto::tensorflow::{DataType, TensorProto, TensorShapeProto};
use serde_json::Value;
use tonic::transport::Channel;

use crate::Server;

/// The services of a server, over one connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Grpc {
    /// The connection.
    pub channel: Channel,
    /// `tensorflow.serving.PredictionService`.
    pub prediction: PredictionServiceClient<Channel>,
    /// `tensorflow.serving.ModelService`.
    pub model: ModelServiceClient<Channel>,
    /// `inference.GRPCInferenceService`.
    pub inference: GrpcInferenceServiceClient<Channel>,
}

impl Grpc {
    /// Connects.
    ///
    /// # Panics
    /// Where the server does not take the connection.
    pub async fn connect(server: &Server) -> Self {
        Self::connect_to(server.url()).await
    }

    /// Connects to a server by its URL.
    ///
    /// # Panics
    /// As [`connect`](Self::connect).
    pub async fn connect_to(url: String) -> Self {
        let endpoint = Channel::from_shared(url).expect("an address").tcp_nodelay(true);
        let channel = endpoint.connect().await.expect("a connection");
        Self {
            prediction: PredictionServiceClient::new(channel.clone()),
            model: ModelServiceClient::new(channel.clone()),
            inference: GrpcInferenceServiceClient::new(channel.clone()),
            channel,
        }
    }

    /// What the server says of every version of a model, newest first.
    ///
    /// # Errors
    /// As the server has them.
    pub async fn versions(&mut self, model: &str) -> Result<Vec<ModelVersionStatus>, tonic::Status> {
        let model_spec = Some(ModelSpec { name: model.to_owned(), ..ModelSpec::default() });
        let response = self.model.get_model_status(GetModelStatusRequest { model_spec }).await?;
        Ok(response.into_inner().model_version_status)
    }
}

/// A `Predict` of input `x`, FP32.
pub fn fp32_predict(model: &str, version: Option<i64>, shape: &[i64], values: &[f32]) -> PredictRequest {
    let dim = shape.iter().map(|&size| Dim { size, name: String::new() }).collect();
    let tensor = TensorProto {
        dtype: DataType::DtFloat as i32,
        tensor_shape: Some(TensorShapeProto { dim, unknown_rank: false }),
        tensor_content: little_endian(values),
        ..TensorProto::default()
    };
    PredictRequest {
        model_spec: Some(ModelSpec {
            name: model.to_owned(),
            signature_name: String::new(),
            version_choice: version.map(VersionChoice::Version),
        }),
        inputs: vec![InputsEntry { key: "x".to_owned(), value: Some(tensor) }],
        output_filter: Vec::new(),
    }
}

/// A `ModelInfer` of input `x`, FP32.
pub fn fp32_infer(model: &str, version: &str, shape: &[i64], values: &[f32]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: shape.to_vec(),
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![little_endian(values)],
        ..ModelInferRequest::default()
    }
}

fn little_endian(values: &[f32]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The numbers in FP32 contents.
pub fn fp32_values(contents: &[u8]) -> Vec<f32> {
    let (numbers, _) = contents.as_chunks::<4>();
    numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

/// What a model of [`TAGGED`](crate::TAGGED) answered, whatever the interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The version that the frame of the answer names, where it names one.
    pub said: Option<i64>,
    /// The version that the model says it is, once per row.
    pub tags: Vec<i64>,
    /// `x`.
    pub x: Vec<f32>,
}

impl Reply {
    /// Reads a `PredictResponse`.
    ///
    /// # Panics
    /// Where an output is missing.
    pub fn of_predict(response: &PredictResponse) -> Self {
        let output = |name: &str| {
            let entry = response.outputs.iter().find(|entry| entry.key == name);
            entry.and_then(|entry| entry.value.as_ref()).expect("an output")
        };
        let (x, version) = (output("x"), output("version"));
        let spec = response.model_spec.as_ref().expect("a model spec");
        let said = match spec.version_choice {
            Some(VersionChoice::Version(version)) => Some(version),
            _ => None,
        };
        Self { said, tags: version.int64_val.clone(), x: x.float_val.clone() }
    }

    /// Reads the answer to a columnar request of TensorFlow Serving's REST interface, which names no version.
    ///
    /// # Panics
    /// Where it is not one.
    pub fn of_columns(answer: &Value) -> Self {
        let output = |name: &str| answer.pointer(&format!("/outputs/{name}")).expect("an output");
        Self { said: None, tags: integers(output("version")), x: floats(output("x")) }
    }

    /// Reads the answer to a request of the Open Inference Protocol's REST interface.
    ///
    /// # Panics
    /// Where it is not one.
    pub fn of_infer_json(answer: &Value) -> Self {
        let outputs = answer.get("outputs").and_then(Value::as_array).expect("outputs");
        let output = |name: &str| {
            let found =
                outputs.iter().find(|output| output.get("name").and_then(Value::as_str) == Some(name));
            found.and_then(|output| output.get("data")).expect("an output")
        };
        let said = answer.get("model_version").and_then(Value::as_str).expect("a version");
        Self { said: said.parse().ok(), tags: integers(output("version")), x: floats(output("x")) }
    }

    /// Reads a `ModelInferResponse`.
    ///
    /// # Panics
    /// Where an output is missing.
    pub fn of_infer(response: &ModelInferResponse) -> Self {
        let output = |name: &str| {
            let position = response.outputs.iter().position(|output| output.name == name);
            position.and_then(|position| response.raw_output_contents.get(position)).expect("an output")
        };
        let (tags, _) = output("version").as_chunks::<8>();
        Self {
            said: response.model_version.parse().ok(),
            tags: tags.iter().map(|tag| i64::from_le_bytes(*tag)).collect(),
            x: fp32_values(output("x")),
        }
    }
}

fn integers(array: &Value) -> Vec<i64> {
    leaves(array).into_iter().map(|value| value.as_i64().expect("a whole number")).collect()
}

fn floats(array: &Value) -> Vec<f32> {
    leaves(array).into_iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

/// The values of nested arrays, in order.
fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}
