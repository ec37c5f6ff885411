//! What a session tells of itself.

use salver_batching_parameters::BatchingOptions;
use salver_batching_tune::Limits;

use crate::NotBatched;

/// What a session tells of itself, for the model's status.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchingStatus {
    /// The options in effect.
    pub options: BatchingOptions,
    /// How many batches of its pool may run at once now: in the adaptive mode, what was found.
    pub in_flight_limit: usize,
    /// The model's signatures, in their order.
    pub signatures: Vec<SignatureStatus>,
}

/// How the requests of one signature are batched now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureStatus {
    /// The signature's name.
    pub name: String,
    /// Why its requests are not batched; `None` where they are.
    pub not_batched: Option<NotBatched>,
    /// How many requests, or parts of large ones, wait.
    pub waiting: usize,
    /// Size and wait as they were found for a latency target; `None` in other modes.
    pub found: Option<Limits>,
}
