//! Settings of a load, and parameters of a request.

use abi_stable::StableAbi;

use crate::Str;

/// The value is true or false: `integer` is 1 or 0.
pub const PARAM_BOOL: u32 = 1;
/// The value is `integer`.
pub const PARAM_INT: u32 = 2;
/// The value is `number`.
pub const PARAM_FLOAT: u32 = 3;
/// The value is `text`.
pub const PARAM_TEXT: u32 = 4;

/// A value by name. No name is there twice.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Param {
    /// What it is called.
    pub name: Str,
    /// Which of the fields below holds the value: [`PARAM_BOOL`], [`PARAM_INT`], [`PARAM_FLOAT`] or [`PARAM_TEXT`].
    pub kind: u32,
    /// Of [`PARAM_BOOL`] and [`PARAM_INT`]; otherwise 0.
    pub integer: i64,
    /// Of [`PARAM_FLOAT`]; otherwise 0.
    pub number: f64,
    /// Of [`PARAM_TEXT`]; otherwise empty.
    pub text: Str,
}
