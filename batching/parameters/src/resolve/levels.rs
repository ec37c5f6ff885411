//! The levels of priority: as many as are asked for, each with its sizes, its wait and its limits.

use std::collections::BTreeMap;
use std::time::Duration;

use salver_batching_queue::{Level, QueuePolicy};
use salver_core_status::Status;

use super::{LONGEST, MAX_BATCH_SIZE, MAX_ENQUEUED_BATCHES, MOST, count, invalid};
use crate::{LevelParameters, Parameters, QueuePolicyParameters};

/// More levels than this are a mistake: each has a line of its own in every queue.
const MAX_LEVELS: usize = 256;

impl Parameters {
    pub(super) fn resolved_levels(&self) -> Result<Vec<Level>, Status> {
        let common = LevelParameters {
            max_batch_size: self.max_batch_size,
            max_execution_batch_size: self.max_execution_batch_size,
            batch_timeout: self.batch_timeout,
            max_enqueued_batches: self.max_enqueued_batches,
            allowed_batch_sizes: self.allowed_batch_sizes.clone(),
        };
        let common_policy = self.default_queue_policy.unwrap_or_default();
        let mut levels = Vec::new();
        for number in 1..=self.level_count()? as u32 {
            let own = of(&self.levels, number);
            let level = self.level(&own.map_or_else(|| common.clone(), |own| common.over(own)));
            // What is wrong for all levels is told of none.
            let level = level.map_err(|status| match own {
                Some(_) => status.context(format_args!("levels.{number}")),
                None => status,
            })?;
            let own = of(&self.priority_queue_policy, number);
            let policy = policy(&own.map_or(common_policy, |own| common_policy.over(own)));
            let policy = policy.map_err(|status| match own {
                Some(_) => status.context(format_args!("priority_queue_policy.{number}")),
                None => status.context("default_queue_policy"),
            })?;
            levels.push(Level { policy, ..level });
        }
        Ok(levels)
    }

    /// How many levels there are; none is said anything of that is not there.
    fn level_count(&self) -> Result<usize, Status> {
        let named = [
            ("levels", numbers(&self.levels)),
            ("priority_queue_policy", numbers(&self.priority_queue_policy)),
        ];
        let last = named.iter().flat_map(|(_, numbers)| numbers).max().copied().unwrap_or(1);
        let levels = match self.priority_levels {
            // Triton's way to say that there are no priorities.
            Some(0) => 1,
            said => count("priority_levels", said, last.clamp(1, MAX_LEVELS))?,
        };
        if levels > MAX_LEVELS {
            return Err(invalid(format!("priority_levels is {levels}, at most {MAX_LEVELS} was wanted")));
        }
        for (field, numbers) in named {
            if let Some(wrong) = numbers.into_iter().find(|number| !(1..=levels).contains(number)) {
                return Err(invalid(format!(
                    "{field} has level {wrong}, 1 to priority_levels ({levels}) was wanted"
                )));
            }
        }
        Ok(levels)
    }

    pub(super) fn default_level(&self, levels: usize) -> Result<usize, Status> {
        let Some(said) = self.default_priority_level else { return Ok(0) };
        let level = usize::try_from(said).ok().and_then(|level| level.checked_sub(1));
        level.filter(|level| *level < levels).ok_or_else(|| {
            invalid(format!("default_priority_level is {said}, 1 to priority_levels ({levels}) was wanted"))
        })
    }

    /// A level of which everything is said in `said` that is not said of its policy.
    fn level(&self, said: &LevelParameters) -> Result<Level, Status> {
        let allowed = sizes("allowed_batch_sizes", said.allowed_batch_sizes.as_deref())?;
        check_ascending(&allowed)?;
        let max_batch_size = match (said.max_batch_size, allowed.last()) {
            (None, Some(last)) if said.max_execution_batch_size.is_none() => *last,
            (said, _) => count("max_batch_size", said, MAX_BATCH_SIZE)?,
        };
        let max_execution_batch_size = self.execution(said.max_execution_batch_size, max_batch_size)?;
        if let Some(last) = allowed.last().filter(|last| **last != max_execution_batch_size) {
            let field = if max_execution_batch_size < max_batch_size {
                "max_execution_batch_size"
            } else {
                "max_batch_size"
            };
            return Err(invalid(format!(
                "allowed_batch_sizes ends with {last}, {field} ({max_execution_batch_size}) was wanted"
            )));
        }
        let mut preferred = sizes("preferred_batch_sizes", self.preferred_batch_sizes.as_deref())?;
        preferred.sort_unstable();
        preferred.dedup();
        if let Some(last) = preferred.last().filter(|last| **last > max_execution_batch_size) {
            return Err(invalid(format!(
                "preferred_batch_sizes has {last}, at most the largest batch ({max_execution_batch_size}) was wanted"
            )));
        }
        Ok(Level {
            max_batch_size,
            max_execution_batch_size,
            batch_timeout: said.batch_timeout.unwrap_or_default().min(LONGEST),
            max_enqueued_batches: self.enqueued(said.max_enqueued_batches)?,
            allowed_batch_sizes: allowed,
            preferred_batch_sizes: preferred,
            policy: QueuePolicy::default(),
        })
    }

    /// The largest batch that is run.
    fn execution(&self, said: Option<i64>, max_batch_size: usize) -> Result<usize, Status> {
        // Who turns splitting off need not unsay what others said of it.
        if self.enable_large_batch_splitting == Some(false) {
            return Ok(max_batch_size);
        }
        let execution = count("max_execution_batch_size", said, max_batch_size)?;
        if execution > max_batch_size {
            return Err(invalid(format!(
                "max_execution_batch_size is {execution}, at most max_batch_size ({max_batch_size}) was wanted"
            )));
        }
        if execution < max_batch_size && !self.splits() {
            return Err(invalid(format!(
                "max_execution_batch_size is {execution} and max_batch_size {max_batch_size}, the same was wanted \
                 where enable_large_batch_splitting is not said"
            )));
        }
        Ok(execution)
    }

    fn enqueued(&self, said: Option<i64>) -> Result<usize, Status> {
        match said {
            None => Ok(MAX_ENQUEUED_BATCHES),
            Some(0) if self.splits() => Err(invalid(
                "max_enqueued_batches is 0, 1 or more was wanted as enable_large_batch_splitting is true",
            )),
            Some(said) => match usize::try_from(said) {
                // More than there is room for is as many as there is room for.
                Ok(batches) => Ok(batches.clamp(1, MOST)),
                Err(_) => Err(invalid(format!("max_enqueued_batches is {said}, 0 or more was wanted"))),
            },
        }
    }
}

fn policy(said: &QueuePolicyParameters) -> Result<QueuePolicy, Status> {
    let max_queue_size = match said.max_queue_size {
        None | Some(0) => None,
        Some(size) => {
            let tasks = usize::try_from(size)
                .map_err(|_| invalid(format!("max_queue_size is {size}, 0 or more was wanted")))?;
            Some(tasks.min(MOST))
        }
    };
    let default_timeout = said.default_timeout.filter(|timeout| *timeout != Duration::ZERO);
    Ok(QueuePolicy {
        max_queue_size,
        default_timeout: default_timeout.map(|timeout| timeout.min(LONGEST)),
        allow_timeout_override: said.allow_timeout_override.unwrap_or(false),
        timeout_action: said.timeout_action.unwrap_or_default(),
    })
}

fn sizes(field: &str, said: Option<&[i64]>) -> Result<Vec<usize>, Status> {
    said.unwrap_or_default().iter().map(|size| count(field, Some(*size), 0)).collect()
}

fn check_ascending(sizes: &[usize]) -> Result<(), Status> {
    for (one, next) in sizes.iter().zip(sizes.iter().skip(1)) {
        if next <= one {
            return Err(invalid(format!(
                "allowed_batch_sizes has {next} after {one}, ascending sizes were wanted"
            )));
        }
    }
    Ok(())
}

/// What is said of one level.
fn of<T>(levels: &Option<BTreeMap<u32, T>>, number: u32) -> Option<&T> {
    levels.as_ref()?.get(&number)
}

/// The levels that something is said of.
fn numbers<T>(levels: &Option<BTreeMap<u32, T>>) -> Vec<usize> {
    levels.iter().flat_map(BTreeMap::keys).map(|number| *number as usize).collect()
}
