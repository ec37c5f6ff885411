//! Parameters that are said by name: in a settings file, a flag, or by a model for a step of its own.

use salver_core_platform::Options;
use salver_core_status::Status;

use crate::said::Said;
use crate::{Mode, Parameters};

impl Parameters {
    /// Reads options by the names of the fields.
    ///
    /// A time is a text such as `2ms`, or under a name that ends in `_micros` a number. Sizes are a text `1,2,4`. What is
    /// within another field has a path: `default_queue_policy.max_queue_size`, `levels.2.batch_timeout` and
    /// `priority_queue_policy.2.timeout_action` with the level's number, `unpad_outputs.OUTPUT` with the name of an
    /// output. Words may be in upper case, and have dashes.
    ///
    /// Names of TensorFlow and Triton that differ are known: `max_queue_delay_microseconds`, `preferred_batch_size`,
    /// `default_timeout_microseconds`, `enable_priority_queue`, `high_priority_queue_options` (level 1) and
    /// `low_priority_queue_options` (level 2) with `input_batch_size_limit`, and the words of TensorFlow's policies.
    ///
    /// A `latency_target` without a `mode` says [`Mode::LatencyTarget`], whatever mode others said before.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option, what it is and what was wanted; of one that is not known, the nearest name.
    pub fn from_options(options: &Options) -> Result<Self, Status> {
        let mut parameters = Self::default();
        for (name, value) in options.iter() {
            parameters.say(Said { name, value })?;
        }
        if parameters.latency_target.is_some() {
            parameters.mode.get_or_insert(Mode::LatencyTarget);
        }
        Ok(parameters)
    }
}
