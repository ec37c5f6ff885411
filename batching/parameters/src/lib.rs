//! What a person may say of batching, in every form that is read, and the check of it.
//!
//! [`Parameters`] are said by the server, a platform, a model and a version, each over the one before
//! ([`Parameters::over`]); [`Parameters::resolve`] checks what comes out of it, and names the field that is wrong.
//! [`Parameters::from_options`] reads them by name, which is how files and flags say them; files themselves are read
//! elsewhere.
//!
//! ```
//! use salver_batching_parameters::Parameters;
//! use salver_core_platform::{OptionValue, Options};
//!
//! let mut options = Options::new();
//! options.set("max_batch_size", OptionValue::Int(64));
//! options.set("batch_timeout", OptionValue::Text("2ms".to_owned()));
//! let server = Parameters::from_options(&options)?;
//! let model = Parameters { max_batch_size: Some(16), ..Parameters::default() };
//!
//! let batching = server.over(&model).resolve()?.expect("batching is not off");
//! let level = &batching.queue.levels[0];
//! assert_eq!((level.max_batch_size, level.batch_timeout.as_millis()), (16, 2));
//! # Ok::<(), salver_core_status::Status>(())
//! ```

mod names;
mod options;
mod over;
mod parameters;
mod resolve;
mod said;
#[cfg(test)]
mod tests;

pub use parameters::{LevelParameters, Mode, Parameters, QueuePolicyParameters};
pub use resolve::{BatchingOptions, Padding};
