//! The few fields that are read of a SavedModel's messages, and written of a session's: field numbers are those of
//! `tensorflow/core/protobuf/{saved_model,meta_graph,config}.proto` and `tensorflow/core/framework/tensor_shape.proto`.
//! What else the messages hold, graphs above all, is skipped.

use std::collections::{BTreeMap, HashMap};

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SavedModel {
    #[prost(message, repeated, tag = "2")]
    pub(crate) meta_graphs: Vec<MetaGraph>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetaGraph {
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<MetaInfo>,
    #[prost(message, optional, tag = "3")]
    pub(crate) saver: Option<Saver>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub(crate) signatures: BTreeMap<String, SignatureDef>,
}

/// A `SaverDef`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Saver {
    #[prost(string, tag = "3")]
    pub(crate) restore_op_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetaInfo {
    #[prost(string, repeated, tag = "4")]
    pub(crate) tags: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SignatureDef {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) inputs: BTreeMap<String, TensorInfo>,
    #[prost(btree_map = "string, message", tag = "2")]
    pub(crate) outputs: BTreeMap<String, TensorInfo>,
    #[prost(string, tag = "3")]
    pub(crate) method_name: String,
    /// Serialised `TensorProto`s.
    #[prost(btree_map = "string, message", tag = "4")]
    pub(crate) defaults: BTreeMap<String, DefaultTensor>,
}

/// A `TensorInfo` whose encoding is the name of one dense tensor; of others, the name is empty.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorInfo {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int32, tag = "2")]
    pub(crate) dtype: i32,
    #[prost(message, optional, tag = "3")]
    pub(crate) shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    pub(crate) dims: Vec<Dim>,
    #[prost(bool, tag = "3")]
    pub(crate) unknown_rank: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dim {
    #[prost(int64, tag = "1")]
    pub(crate) size: i64,
}

/// A `TensorProto`, all of it: it is encoded again, for TensorFlow to read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DefaultTensor {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
    #[prost(bytes = "vec", tag = "4")]
    content: Vec<u8>,
    #[prost(float, repeated, tag = "5")]
    floats: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    doubles: Vec<f64>,
    #[prost(int32, repeated, tag = "7")]
    ints: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    strings: Vec<Vec<u8>>,
    #[prost(float, repeated, tag = "9")]
    complex_floats: Vec<f32>,
    #[prost(int64, repeated, tag = "10")]
    int64s: Vec<i64>,
    #[prost(bool, repeated, tag = "11")]
    bools: Vec<bool>,
    #[prost(double, repeated, tag = "12")]
    complex_doubles: Vec<f64>,
    #[prost(int32, repeated, tag = "13")]
    halves: Vec<i32>,
    #[prost(uint32, repeated, tag = "16")]
    uint32s: Vec<u32>,
    #[prost(uint64, repeated, tag = "17")]
    uint64s: Vec<u64>,
    #[prost(bytes = "vec", tag = "18")]
    float8s: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ConfigProto {
    #[prost(map = "string, int32", tag = "1")]
    pub(crate) device_count: HashMap<String, i32>,
    #[prost(int32, tag = "2")]
    pub(crate) intra_op_parallelism_threads: i32,
    #[prost(int32, tag = "5")]
    pub(crate) inter_op_parallelism_threads: i32,
    #[prost(bool, tag = "9")]
    pub(crate) use_per_session_threads: bool,
    #[prost(message, optional, tag = "6")]
    pub(crate) gpu_options: Option<GpuOptions>,
    #[prost(bool, tag = "7")]
    pub(crate) allow_soft_placement: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GpuOptions {
    #[prost(bool, tag = "4")]
    pub(crate) allow_growth: bool,
    #[prost(string, tag = "5")]
    pub(crate) visible_device_list: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RunOptions {
    #[prost(int64, tag = "2")]
    pub(crate) timeout_in_ms: i64,
}
