//! The request types as the guard sees them.
//!
//! A field is listed where it is a message, a string or bytes, or a list of integers. Lists of floats are not: an
//! element takes no more bytes in memory than on the wire. The sizes are those of the generated types.

use bytes::Bytes;
use prost_types::Any;
use salver_proto::inference::infer_parameter::ParameterChoice;
use salver_proto::inference::model_infer_request::{
    InferInputTensor, InferRequestedOutputTensor, ParametersEntry,
};
use salver_proto::inference::{InferTensorContents, ModelInferRequest};
use salver_proto::tensorflow::serving::file_system_storage_path_source_config::{
    ServableVersionPolicy, servable_version_policy::Specific,
};
use salver_proto::tensorflow::serving::model_config::VersionLabelsEntry;
use salver_proto::tensorflow::serving::predict_request::InputsEntry;
use salver_proto::tensorflow::serving::{
    InferenceTask, Input, LogCollectorConfig, LoggingConfig, ModelConfig, ModelConfigList, ModelServerConfig,
    ModelSpec, PredictRequest,
};
use salver_proto::tensorflow::tensor_shape_proto::Dim;
use salver_proto::tensorflow::{TensorProto, TensorShapeProto};

use super::{Field, Message};

/// A string in a list, or as a field.
const STRING: Field = Field::Text(size_of::<String>());
/// Bytes in a list, or as a field; they share the message's memory, which is held as long as they are.
const SHARED_BYTES: Field = Field::Text(size_of::<Bytes>());
/// 32-bit integers.
const INTS_32: Field = Field::Varints(4);
/// 64-bit integers.
const INTS_64: Field = Field::Varints(8);
/// Truth values.
const BOOLS: Field = Field::Varints(1);

/// A message of type `T`.
const fn nested<T>(message: &'static Message) -> Field {
    Field::Nested(size_of::<T>(), message)
}

/// A request without fields.
pub static EMPTY: Message = Message { fields: &[] };

/// `tensorflow.serving.PredictRequest`.
pub static PREDICT: Message = Message {
    fields: &[(1, nested::<ModelSpec>(&MODEL_SPEC)), (2, nested::<InputsEntry>(&TENSOR_ENTRY)), (3, STRING)],
};

/// `tensorflow.serving.ClassificationRequest` and `RegressionRequest`, which are laid out alike.
pub static CLASSIFY_OR_REGRESS: Message =
    Message { fields: &[(1, nested::<ModelSpec>(&MODEL_SPEC)), (2, nested::<Input>(&EXAMPLES))] };

/// `tensorflow.serving.MultiInferenceRequest`.
pub static MULTI_INFERENCE: Message =
    Message { fields: &[(1, nested::<InferenceTask>(&TASK)), (2, nested::<Input>(&EXAMPLES))] };

/// `tensorflow.serving.GetModelMetadataRequest`.
pub static GET_MODEL_METADATA: Message =
    Message { fields: &[(1, nested::<ModelSpec>(&MODEL_SPEC)), (2, STRING)] };

/// `tensorflow.serving.GetModelStatusRequest`.
pub static GET_MODEL_STATUS: Message = Message { fields: &[(1, nested::<ModelSpec>(&MODEL_SPEC))] };

/// `tensorflow.serving.ReloadConfigRequest`.
pub static RELOAD_CONFIG: Message =
    Message { fields: &[(1, nested::<ModelServerConfig>(&MODEL_SERVER_CONFIG)), (2, STRING)] };

/// `inference.ModelReadyRequest`.
pub static MODEL_READY: Message = Message { fields: &[(1, STRING), (2, STRING)] };

/// `inference.ModelMetadataRequest`.
pub static MODEL_METADATA: Message = Message { fields: &[(1, STRING), (2, STRING)] };

/// `inference.ModelInferRequest`.
pub static MODEL_INFER: Message = Message {
    fields: &[
        (1, STRING),
        (2, STRING),
        (3, STRING),
        (4, nested::<ParametersEntry>(&PARAMETER_ENTRY)),
        (5, nested::<InferInputTensor>(&INPUT)),
        (6, nested::<InferRequestedOutputTensor>(&OUTPUT)),
        (7, SHARED_BYTES),
    ],
};

static MODEL_SPEC: Message =
    Message { fields: &[(1, STRING), (2, Field::Nested(0, &EMPTY)), (3, STRING), (4, STRING)] };

static TASK: Message = Message { fields: &[(1, Field::Nested(0, &MODEL_SPEC)), (2, STRING)] };

static EXAMPLES: Message =
    Message { fields: &[(1, Field::Nested(0, &EXAMPLE_LIST)), (2, Field::Nested(0, &EXAMPLE_LIST))] };

/// With context or without. An example is bytes.
static EXAMPLE_LIST: Message = Message { fields: &[(1, SHARED_BYTES), (2, SHARED_BYTES)] };

static MODEL_SERVER_CONFIG: Message =
    Message { fields: &[(1, nested::<ModelConfigList>(&MODEL_CONFIG_LIST)), (2, nested::<Any>(&ANY))] };

static ANY: Message = Message { fields: &[(1, STRING), (2, STRING)] };

static MODEL_CONFIG_LIST: Message = Message { fields: &[(1, nested::<ModelConfig>(&MODEL_CONFIG))] };

static MODEL_CONFIG: Message = Message {
    fields: &[
        (1, STRING),
        (2, STRING),
        (4, STRING),
        (6, nested::<LoggingConfig>(&LOGGING_CONFIG)),
        (7, nested::<ServableVersionPolicy>(&VERSION_POLICY)),
        (8, nested::<VersionLabelsEntry>(&LABEL_ENTRY)),
    ],
};

static LOGGING_CONFIG: Message =
    Message { fields: &[(1, nested::<LogCollectorConfig>(&LOG_COLLECTOR)), (2, Field::Nested(0, &EMPTY))] };

static LOG_COLLECTOR: Message = Message { fields: &[(1, STRING), (2, STRING)] };

static VERSION_POLICY: Message = Message { fields: &[(102, nested::<Specific>(&SPECIFIC))] };

static SPECIFIC: Message = Message { fields: &[(1, INTS_64)] };

static LABEL_ENTRY: Message = Message { fields: &[(1, STRING)] };

static TENSOR_ENTRY: Message = Message { fields: &[(1, STRING), (2, nested::<TensorProto>(&TENSOR))] };

static TENSOR: Message = Message {
    fields: &[
        (2, nested::<TensorShapeProto>(&SHAPE)),
        (4, SHARED_BYTES),
        (7, INTS_32),
        (8, SHARED_BYTES),
        (10, INTS_64),
        (11, BOOLS),
        (13, INTS_32),
        (16, INTS_32),
        (17, INTS_64),
        (18, SHARED_BYTES),
    ],
};

static SHAPE: Message = Message { fields: &[(2, nested::<Dim>(&DIM))] };

static DIM: Message = Message { fields: &[(2, STRING)] };

static INPUT: Message = Message {
    fields: &[
        (1, STRING),
        (2, STRING),
        (3, INTS_64),
        (4, nested::<ParametersEntry>(&PARAMETER_ENTRY)),
        (5, nested::<InferTensorContents>(&CONTENTS)),
    ],
};

static OUTPUT: Message = Message { fields: &[(1, STRING), (2, nested::<ParametersEntry>(&PARAMETER_ENTRY))] };

static CONTENTS: Message = Message {
    fields: &[(1, BOOLS), (2, INTS_32), (3, INTS_64), (4, INTS_32), (5, INTS_64), (8, SHARED_BYTES)],
};

static PARAMETER_ENTRY: Message =
    Message { fields: &[(1, STRING), (2, nested::<ParameterChoice>(&PARAMETER))] };

static PARAMETER: Message = Message { fields: &[(3, STRING)] };

// The three entry types for parameters are laid out alike, so that one stands for all.
const _: () = {
    use salver_proto::inference::model_infer_request::infer_input_tensor;
    assert!(size_of::<ParametersEntry>() == size_of::<infer_input_tensor::ParametersEntry>());
    // Requests themselves are not counted: there is one.
    assert!(size_of::<PredictRequest>() < 1024 && size_of::<ModelInferRequest>() < 1024);
};
