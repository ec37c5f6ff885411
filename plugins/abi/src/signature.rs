//! What a model takes and returns.

use abi_stable::StableAbi;

use crate::{Str, Tensor};

/// The `rank` of a [`TensorSpec`] that allows any.
pub const ANY_RANK: i32 = -1;
/// A flag of [`TensorSpec`]: a request may leave the input out.
pub const OPTIONAL: u32 = 1;

/// One input or output.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct TensorSpec {
    /// What requests call it; not empty, and no name twice among the inputs, nor among the outputs.
    pub name: Str,
    /// The type of its elements, such as `F32`.
    pub dtype: u32,
    /// How many dimensions it has, 0 to 254, or [`ANY_RANK`].
    pub rank: i32,
    /// `rank` sizes, -1 for any; null is allowed where there are none.
    pub shape: *const i64,
    /// [`OPTIONAL`], or 0. Other bits are 0.
    pub flags: u32,
    /// Of an optional input: what stands in for it; null where the model runs without it.
    pub default_value: *const Tensor,
}

/// One way to call a model.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Signature {
    /// What requests call it. A request that names none means `serving_default`, or the first signature.
    pub name: Str,
    /// TensorFlow Serving's method name; empty means `tensorflow/serving/predict`.
    pub method: Str,
    /// The inputs, in the order in which `run` is given them.
    pub inputs: *const TensorSpec,
    /// How many inputs there are.
    pub input_count: usize,
    /// The outputs, in the order that positions of outputs refer to.
    pub outputs: *const TensorSpec,
    /// How many outputs there are.
    pub output_count: usize,
}

/// The signatures of a model: at least one, no name twice.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Signatures {
    /// The first.
    pub data: *const Signature,
    /// How many there are.
    pub count: usize,
}
