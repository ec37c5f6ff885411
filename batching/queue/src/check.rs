//! Whether options make sense together.

use std::fmt::{Debug, Display};
use std::time::Duration;

use salver_batching_tune::LatencyTarget;
use salver_core_status::Status;

use crate::{Level, QueueOptions, Tuning};

impl QueueOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option, what it is and what was wanted.
    pub fn check(&self) -> Result<(), Status> {
        let levels = self.levels.len();
        if levels == 0 {
            return Err(Status::invalid_argument("levels is empty, at least one was wanted"));
        }
        if self.default_level >= levels {
            let wanted = format_args!("less than {levels}, how many levels there are, was wanted");
            return wrong("default_level", self.default_level, wanted);
        }
        for (number, level) in self.levels.iter().enumerate() {
            if let Err(status) = self.check_level(level) {
                return Err(Status::new(status.code(), format!("levels[{number}].{}", status.message())));
            }
        }
        match &self.tuning {
            Tuning::Fixed => Ok(()),
            Tuning::LatencyTarget(options) => {
                LatencyTarget::new(options.clone()).map(drop).map_err(|status| status.context("tuning"))
            }
        }
    }

    fn check_level(&self, level: &Level) -> Result<(), Status> {
        let (max, execution) = (level.max_batch_size, level.max_execution_batch_size);
        let is_split = self.enable_large_batch_splitting;
        if max == 0 {
            return wrong("max_batch_size", max, "1 or more was wanted");
        }
        if execution == 0 {
            return wrong("max_execution_batch_size", execution, "1 or more was wanted");
        }
        if is_split && max < execution {
            let wanted = format_args!("max_execution_batch_size, {execution}, or more was wanted");
            return wrong("max_batch_size", max, wanted);
        }
        if !is_split && max != execution {
            let wanted =
                format_args!("max_batch_size, {max}, was wanted where enable_large_batch_splitting is off");
            return wrong("max_execution_batch_size", execution, wanted);
        }
        let allowed = &level.allowed_batch_sizes;
        check_sizes("allowed_batch_sizes", allowed)?;
        if allowed.last().is_some_and(|last| *last != execution) {
            let wanted = format_args!("max_execution_batch_size, {execution}, was wanted as the last");
            return wrong("allowed_batch_sizes", allowed, wanted);
        }
        let preferred = &level.preferred_batch_sizes;
        check_sizes("preferred_batch_sizes", preferred)?;
        if preferred.last().is_some_and(|last| *last > execution) {
            let wanted = format_args!("at most max_execution_batch_size, {execution}, was wanted");
            return wrong("preferred_batch_sizes", preferred, wanted);
        }
        if level.policy.max_queue_size == Some(0) {
            return wrong("policy.max_queue_size", 0, "none, or 1 or more, was wanted");
        }
        match level.policy.default_timeout {
            Some(Duration::ZERO) => {
                wrong("policy.default_timeout", Duration::ZERO, "none, or more than that, was wanted")
            }
            _ => Ok(()),
        }
    }
}

fn check_sizes(name: &str, sizes: &[usize]) -> Result<(), Status> {
    if sizes.first() == Some(&0) {
        return wrong(name, sizes, "sizes of 1 or more were wanted");
    }
    if sizes.is_sorted_by(|one, next| one < next) {
        return Ok(());
    }
    wrong(name, sizes, "ascending sizes were wanted")
}

fn wrong(name: &str, found: impl Debug, wanted: impl Display) -> Result<(), Status> {
    Err(Status::invalid_argument(format!("{name} is {found:?}, {wanted}")))
}
