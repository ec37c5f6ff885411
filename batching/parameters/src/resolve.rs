//! From what is said to what is done.

use std::collections::BTreeMap;

use salver_batching_concat::PadValue;
use salver_batching_queue::QueueOptions;
use salver_batching_scheduler::PoolOptions;
use salver_core_status::Status;

use crate::Parameters;

/// How one version's requests are batched: checked, and complete.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchingOptions {
    /// Which pool runs the batches; the pool of that name must have these settings.
    pub pool: PoolOptions,
    /// How batches are formed.
    pub queue: QueueOptions,
    /// How requests of different shapes share batches; `None`: they do not.
    pub padding: Option<Padding>,
    /// Whether answers leave in the order in which requests came.
    pub preserve_ordering: bool,
}

/// How requests of different shapes share batches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Padding {
    /// What is put where a shorter one has nothing.
    pub value: PadValue,
    /// Outputs whose dimensions are cut to those of an input before it was padded.
    pub unpad: BTreeMap<String, String>,
}

impl Parameters {
    /// Checks what is said, and fills in the rest. `None` where requests are not to be batched.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the field, what was found and what was wanted.
    pub fn resolve(&self) -> Result<Option<BatchingOptions>, Status> {
        Err(Status::unimplemented("batching parameters are not read yet"))
    }
}
