//! What a person may say of batching, in every form that is read, and the check of it.
//!
//! [`Parameters`] are said by the server, a platform, a model and a version, each over the one before
//! ([`Parameters::over`]); [`Parameters::resolve`] checks what comes out of it, and names the field that is wrong.

mod options;
mod parameters;
mod resolve;

pub use parameters::{LevelParameters, Mode, Parameters, QueuePolicyParameters};
pub use resolve::{BatchingOptions, Padding};
