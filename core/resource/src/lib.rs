//! What servables take of memory and devices, counted, added up and compared with what there is.
//!
//! The words are TensorFlow Serving's (`resources/resources.proto`): a [`Resource`] is a kind of thing, such as bytes
//! of RAM, on a device, of which there may be several instances; an [`Allocation`] is so much of each. An allocation
//! that names the instances is *bound*; one that leaves them open is to be placed yet. A [`Tracker`] keeps count of what
//! is reserved, and refuses what does not fit.

mod algebra;
mod allocation;
mod devices;
#[cfg(test)]
mod notation;
mod tracker;

pub use allocation::{Allocation, Resource};
pub use devices::Devices;
pub use tracker::Tracker;

/// The device that every machine has: the processor and its memory.
pub const MAIN: &str = "main";

/// Graphics processors, counted from 0.
pub const GPU: &str = "gpu";

/// Bytes of memory.
pub const RAM_BYTES: &str = "ram_in_bytes";

/// What one servable takes: upper bounds, known before it is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// While it is being loaded, all told: at least `loaded`.
    pub loading: Allocation,
    /// From then on.
    pub loaded: Allocation,
}

impl Estimate {
    /// The same while it is being loaded as afterwards.
    pub fn steady(loaded: Allocation) -> Self {
        Self { loading: loaded.clone(), loaded }
    }
}
