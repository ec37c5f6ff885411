//! What may be said by which name.

use std::collections::BTreeMap;

use salver_batching_concat::PadValue;
use salver_batching_queue::{BatchPadding, PriorityMixing, TimeoutAction};
use salver_core_platform::OptionValue;
use salver_core_status::{Quoted, Status};

use crate::said::Said;
use crate::{LevelParameters, Mode, Parameters, QueuePolicyParameters};

/// The names by which most is said; others are another unit, or another server's word for the same.
const NAMES: &[&str] = &[
    "mode",
    "max_batch_size",
    "batch_timeout",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "num_batch_threads",
    "thread_pool_name",
    "rank_queues",
    "allowed_batch_sizes",
    "batch_padding_policy",
    "pad_variable_length_inputs",
    "padding_value",
    "unpad_outputs.NAME",
    "enable_large_batch_splitting",
    "max_execution_batch_size",
    "latency_target",
    "initial_in_flight_batches_limit",
    "batches_to_average_over",
    "preferred_batch_sizes",
    "preserve_ordering",
    "priority_levels",
    "default_priority_level",
    "mixed_priority_batching_policy",
    "default_queue_policy.NAME",
    "priority_queue_policy.LEVEL.NAME",
    "levels.LEVEL.NAME",
];

const POLICY_NAMES: &[&str] = &[
    "timeout_action",
    "default_timeout",
    "default_timeout_micros",
    "allow_timeout_override",
    "max_queue_size",
];

const LEVEL_NAMES: &[&str] = &[
    "max_batch_size",
    "max_execution_batch_size",
    "batch_timeout",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "allowed_batch_sizes",
];

const MODES: &[(&str, Mode)] = &[
    ("off", Mode::Off),
    ("fixed", Mode::Fixed),
    ("adaptive", Mode::Adaptive),
    ("latency_target", Mode::LatencyTarget),
];

const PADDING_POLICIES: &[(&str, BatchPadding)] = &[
    ("pad_up", BatchPadding::PadUp),
    ("batch_down", BatchPadding::BatchDown),
    ("minimize_cost_per_request", BatchPadding::MinimizeCostPerRequest),
    ("minimize_tpu_cost_per_request", BatchPadding::MinimizeCostPerRequest),
    ("disabled", BatchPadding::Disabled),
];

const MIXING_POLICIES: &[(&str, PriorityMixing)] = &[
    ("pad_to_max", PriorityMixing::PadToMax),
    ("pad_to_next_allowed", PriorityMixing::PadToNextAllowed),
    ("isolate", PriorityMixing::Isolate),
    ("merge", PriorityMixing::Merge),
    ("low_priority_padding_with_max_batch_size", PriorityMixing::PadToMax),
    ("low_priority_padding_with_next_allowed_batch_size", PriorityMixing::PadToNextAllowed),
    ("priority_isolation", PriorityMixing::Isolate),
    ("priority_merge", PriorityMixing::Merge),
];

const TIMEOUT_ACTIONS: &[(&str, TimeoutAction)] =
    &[("reject", TimeoutAction::Reject), ("delay", TimeoutAction::Delay)];

const PAD_VALUES: &[(&str, PadValue)] =
    &[("first_element", PadValue::FirstElement), ("zero", PadValue::Zero)];

/// TensorFlow's two levels.
const HIGH: u32 = 1;
const LOW: u32 = 2;

impl Parameters {
    /// Says one thing.
    pub(crate) fn say(&mut self, said: Said<'_>) -> Result<(), Status> {
        match said.name.split_once('.') {
            None => self.say_plain(said),
            Some(("unpad_outputs", output)) => {
                let input = said.text()?;
                self.unpad_outputs.get_or_insert_default().insert(output.to_owned(), input);
                Ok(())
            }
            Some(("default_queue_policy", name)) => {
                self.default_queue_policy.get_or_insert_default().say(said, name)
            }
            Some(("priority_queue_policy", path)) => {
                let (level, name) = level(said, path)?;
                entry(&mut self.priority_queue_policy, level).say(said, name)
            }
            Some(("levels", path)) => {
                let (level, name) = level(said, path)?;
                entry(&mut self.levels, level).say(said, name)
            }
            Some(("high_priority_queue_options", name)) => entry(&mut self.levels, HIGH).say(said, name),
            Some(("low_priority_queue_options", name)) => entry(&mut self.levels, LOW).say(said, name),
            Some(_) => Err(unknown(said.name, NAMES)),
        }
    }

    fn say_plain(&mut self, said: Said<'_>) -> Result<(), Status> {
        match said.name {
            "mode" => said.put(&mut self.mode, said.one_of(MODES)),
            "max_batch_size" => said.put(&mut self.max_batch_size, said.whole()),
            "batch_timeout" => said.put(&mut self.batch_timeout, said.time()),
            "batch_timeout_micros" | "max_queue_delay_microseconds" => {
                said.put(&mut self.batch_timeout, said.micros())
            }
            "max_enqueued_batches" => said.put(&mut self.max_enqueued_batches, said.whole()),
            "num_batch_threads" => said.put(&mut self.num_batch_threads, said.whole()),
            "thread_pool_name" => said.put(&mut self.thread_pool_name, said.text()),
            "rank_queues" => said.put(&mut self.rank_queues, said.bool()),
            "allowed_batch_sizes" => said.put(&mut self.allowed_batch_sizes, said.sizes()),
            "batch_padding_policy" => said.put(&mut self.batch_padding_policy, said.one_of(PADDING_POLICIES)),
            "pad_variable_length_inputs" => said.put(&mut self.pad_variable_length_inputs, said.bool()),
            "padding_value" => said.put(&mut self.padding_value, padding_value(said)),
            "enable_large_batch_splitting" => said.put(&mut self.enable_large_batch_splitting, said.bool()),
            "max_execution_batch_size" => said.put(&mut self.max_execution_batch_size, said.whole()),
            "latency_target" => said.put(&mut self.latency_target, said.time()),
            "latency_target_micros" => said.put(&mut self.latency_target, said.micros()),
            "initial_in_flight_batches_limit" => {
                said.put(&mut self.initial_in_flight_batches_limit, said.number())
            }
            "batches_to_average_over" => said.put(&mut self.batches_to_average_over, said.whole()),
            "preferred_batch_sizes" | "preferred_batch_size" => {
                said.put(&mut self.preferred_batch_sizes, said.sizes())
            }
            "preserve_ordering" => said.put(&mut self.preserve_ordering, said.bool()),
            "priority_levels" => said.put(&mut self.priority_levels, said.whole()),
            "enable_priority_queue" => {
                let levels = said.bool().map(|is_enabled| i64::from(if is_enabled { LOW } else { HIGH }));
                said.put(&mut self.priority_levels, levels)
            }
            "default_priority_level" => said.put(&mut self.default_priority_level, said.whole()),
            "mixed_priority_batching_policy" => {
                said.put(&mut self.mixed_priority_batching_policy, said.one_of(MIXING_POLICIES))
            }
            name => Err(unknown(name, NAMES)),
        }
    }
}

impl QueuePolicyParameters {
    /// Says one thing by the last part of its name.
    fn say(&mut self, said: Said<'_>, name: &str) -> Result<(), Status> {
        match name {
            "timeout_action" => said.put(&mut self.timeout_action, said.one_of(TIMEOUT_ACTIONS)),
            "default_timeout" => said.put(&mut self.default_timeout, said.time()),
            "default_timeout_micros" | "default_timeout_microseconds" => {
                said.put(&mut self.default_timeout, said.micros())
            }
            "allow_timeout_override" => said.put(&mut self.allow_timeout_override, said.bool()),
            "max_queue_size" => said.put(&mut self.max_queue_size, said.whole()),
            name => Err(unknown_within(said, name, POLICY_NAMES)),
        }
    }
}

impl LevelParameters {
    /// Says one thing by the last part of its name.
    fn say(&mut self, said: Said<'_>, name: &str) -> Result<(), Status> {
        match name {
            "max_batch_size" | "input_batch_size_limit" => said.put(&mut self.max_batch_size, said.whole()),
            "max_execution_batch_size" => said.put(&mut self.max_execution_batch_size, said.whole()),
            "batch_timeout" => said.put(&mut self.batch_timeout, said.time()),
            "batch_timeout_micros" => said.put(&mut self.batch_timeout, said.micros()),
            "max_enqueued_batches" => said.put(&mut self.max_enqueued_batches, said.whole()),
            "allowed_batch_sizes" => said.put(&mut self.allowed_batch_sizes, said.sizes()),
            name => Err(unknown_within(said, name, LEVEL_NAMES)),
        }
    }
}

fn entry<T: Default>(levels: &mut Option<BTreeMap<u32, T>>, level: u32) -> &mut T {
    levels.get_or_insert_default().entry(level).or_default()
}

/// The level that a path such as `2.batch_timeout` begins with, and the rest.
fn level<'a>(said: Said<'_>, path: &'a str) -> Result<(u32, &'a str), Status> {
    let parts = path.split_once('.').and_then(|(level, name)| Some((level.parse().ok()?, name)));
    parts.ok_or_else(|| unknown(said.name, NAMES))
}

fn padding_value(said: Said<'_>) -> Result<PadValue, Status> {
    match said.value {
        OptionValue::Int(_) | OptionValue::Float(_) => said.number().map(PadValue::Number),
        OptionValue::Bool(_) | OptionValue::Text(_) => {
            let word = said.one_of(PAD_VALUES);
            word.map_err(|_| said.wrong("a number, zero or first_element"))
        }
    }
}

fn unknown_within(said: Said<'_>, name: &str, names: &[&str]) -> Status {
    let whole = said.name.strip_suffix(name).map(|path| path.trim_end_matches('.')).unwrap_or_default();
    unknown(name, names).context(format_args!("{}", Quoted(whole)))
}

/// That there is no such name; the nearest one, or else all of them.
fn unknown(name: &str, names: &[&str]) -> Status {
    // No more letters off than a slip makes.
    let nearest = names.iter().map(|known| (distance(name, known), known)).min();
    let hint = match nearest {
        Some((slips, known)) if slips <= 1 + known.len() / 6 => format!("; {known} was wanted perhaps"),
        _ => format!("; there are: {}", names.join(", ")),
    };
    Status::invalid_argument(format!("unknown parameter {}{hint}", Quoted(name)))
}

/// How many letters must be changed, put in or left out to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    // What is so much longer than any name is near to none.
    if one.len() > 80 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, left) in one.bytes().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(other.bytes()) {
            let changed = diagonal + usize::from(left != right);
            diagonal = *cell;
            before = changed.min(before + 1).min(*cell + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_far_apart_as_the_letters_that_differ() {
        for (one, other, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("batch", "bathc", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), slips, "{one} {other}");
        }
    }
}
