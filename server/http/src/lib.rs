//! What gRPC and REST share of HTTP: compression, trace headers, statuses.
//!
//! And what whoever accepts requests tells both: the [`Account`] that a request's memory is charged to.

mod account;
mod compression;
mod status;
mod trace;
mod work;

pub use account::Account;
pub use compression::{Encoding, InflateError};
pub use status::{open_inference_status, status_behind, tensorflow_serving_status};
pub use trace::trace_context;
pub use work::{apart, on};
