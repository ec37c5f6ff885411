//! What more there is to say of inputs and outputs: a table that a plugin may offer, and lives without.

use std::ffi::c_void;

use abi_stable::StableAbi;

use crate::Str;

/// The name of [`TensorDetailsV1`] at the C door.
pub const TENSOR_DETAILS_V1: &str = "salver.tensor-details/1";

/// The `kind` of an input, for [`TensorDetailsV1`].
pub const KIND_INPUT: u32 = 1;
/// The `kind` of an output, for [`TensorDetailsV1`].
pub const KIND_OUTPUT: u32 = 2;

/// A flag of [`TensorDetail`]: the shape in the [`TensorSpec`](crate::TensorSpec) is what the model was made for, and no more.
/// A request's tensor of another shape is given to `run`, and an output of another shape is taken from it. Where the flag
/// is not set, neither happens.
pub const SHAPE_IS_ADVISORY: u32 = 1;

/// More about an input or output.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct TensorDetail {
    /// What the framework calls it, such as `x:0` of a TensorFlow graph; empty where that is its name. The text belongs to the
    /// model, and stays as it is until it is unloaded.
    pub graph_name: Str,
    /// [`SHAPE_IS_ADVISORY`], or 0. Other bits are 0.
    pub flags: u32,
}

/// More about the inputs and outputs of the models of a plugin's platforms. Every function must be there.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct TensorDetailsV1 {
    /// Says more about one input ([`KIND_INPUT`]) or output ([`KIND_OUTPUT`]): the one at `position` of the signature at the
    /// position `signature`; there is one. `platform` is the position of a platform, as for
    /// [`PluginV1::platform`](crate::PluginV1::platform), and `model` is one that it loaded. On [`OK`](crate::OK), `out` is
    /// filled; on anything else, such as [`CANNOT_TELL`](crate::CANNOT_TELL), there is no more to say. Called after `load`,
    /// before the model's first `run`.
    pub tensor: Option<
        unsafe extern "C" fn(
            platform: usize,
            model: *mut c_void,
            signature: u32,
            kind: u32,
            position: u32,
            out: *mut TensorDetail,
        ) -> u32,
    >,
}
