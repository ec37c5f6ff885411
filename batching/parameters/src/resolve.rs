//! From what is said to what is done.

mod levels;

use std::collections::BTreeMap;
use std::fmt;
use std::thread::available_parallelism;
use std::time::Duration;

use salver_batching_concat::PadValue;
use salver_batching_queue::{BatchPadding, Level, QueueOptions, Tuning};
use salver_batching_scheduler::{InFlight, PoolOptions, QueueOrder};
use salver_batching_tune::{AdaptiveOptions, LatencyTargetOptions};
use salver_core_status::Status;

use crate::{Mode, Parameters};

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

impl BatchingOptions {
    /// How batches are formed; never [`Mode::Off`].
    pub fn mode(&self) -> Mode {
        match (&self.pool.in_flight, &self.queue.tuning) {
            (_, Tuning::LatencyTarget(_)) => Mode::LatencyTarget,
            (InFlight::Adaptive(_), Tuning::Fixed) => Mode::Adaptive,
            (InFlight::Threads, Tuning::Fixed) => Mode::Fixed,
        }
    }
}

/// How requests of different shapes share batches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Padding {
    /// What is put where a shorter one has nothing.
    pub value: PadValue,
    /// Outputs whose dimensions are cut to those of an input before it was padded.
    pub unpad: BTreeMap<String, String>,
}

/// TensorFlow Serving's defaults.
const MAX_BATCH_SIZE: usize = 1000;
const MAX_ENQUEUED_BATCHES: usize = 10;
const THREAD_POOL_NAME: &str = "batch_threads";
const IN_FLIGHT_BATCHES_LIMIT: f64 = 3.0;
const BATCHES_TO_AVERAGE_OVER: usize = 1000;

/// No size or count is more than this, so that the product of two of them is a size too.
const MOST: usize = i32::MAX as usize;

/// No time is longer: nobody waits for that, and it can be added to the clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Parameters {
    /// Checks what is said, and fills in the rest: TensorFlow Serving's defaults. `None` where requests are not to be
    /// batched; what else is said is not looked at then.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the field, what was found and what was wanted.
    pub fn resolve(&self) -> Result<Option<BatchingOptions>, Status> {
        let mode = self.checked_mode()?;
        if mode == Mode::Off {
            return Ok(None);
        }
        let options = BatchingOptions {
            pool: self.pool(mode)?,
            queue: self.queue(mode)?,
            padding: self.padding()?,
            preserve_ordering: self.preserve_ordering.unwrap_or(false),
        };
        options.pool.check()?;
        options.queue.check()?;
        Ok(Some(options))
    }

    /// The mode, to which everything belongs that is said of one.
    fn checked_mode(&self) -> Result<Mode, Status> {
        let mode = match (self.mode, self.latency_target) {
            (Some(mode), _) => mode,
            (None, Some(_)) => Mode::LatencyTarget,
            (None, None) => Mode::Fixed,
        };
        let of_modes = [
            ("latency_target", self.latency_target.is_some(), Mode::LatencyTarget),
            (
                "initial_in_flight_batches_limit",
                self.initial_in_flight_batches_limit.is_some(),
                Mode::Adaptive,
            ),
            ("batches_to_average_over", self.batches_to_average_over.is_some(), Mode::Adaptive),
        ];
        for (field, is_said, wanted) in of_modes {
            if is_said && mode != Mode::Off && mode != wanted {
                return Err(invalid(format!("{field} is said and mode is {mode}, {wanted} was wanted")));
            }
        }
        if mode == Mode::LatencyTarget && self.latency_target.is_none_or(|target| target.is_zero()) {
            let found = if self.latency_target.is_some() { "0" } else { "missing" };
            return Err(invalid(format!("latency_target is {found}, a time was wanted as mode is {mode}")));
        }
        Ok(mode)
    }

    fn pool(&self, mode: Mode) -> Result<PoolOptions, Status> {
        let cpus = available_parallelism().map_or(1, usize::from);
        let threads = count("num_batch_threads", self.num_batch_threads, cpus)?;
        let name = match &self.thread_pool_name {
            None => self.pool_name(mode),
            Some(name) if name.is_empty() => {
                return Err(invalid("thread_pool_name is empty, a name was wanted"));
            }
            Some(name) => name.clone(),
        };
        let is_ranked = self.rank_queues.unwrap_or(false);
        Ok(PoolOptions {
            name,
            threads,
            order: if is_ranked { QueueOrder::Ranked } else { QueueOrder::RoundRobin },
            in_flight: if mode == Mode::Adaptive { self.in_flight(threads)? } else { InFlight::Threads },
        })
    }

    /// What a pool is called that nobody named. A name stands for one pool, so those that are not alike have other names.
    fn pool_name(&self, mode: Mode) -> String {
        let adaptive = if mode == Mode::Adaptive { "adaptive_" } else { "" };
        let ranked = if self.rank_queues == Some(true) { "ranked_" } else { "" };
        let threads = self.num_batch_threads.map(|threads| format!("_{threads}")).unwrap_or_default();
        format!("{adaptive}{ranked}{THREAD_POOL_NAME}{threads}")
    }

    fn in_flight(&self, threads: usize) -> Result<InFlight, Status> {
        let max_limit = threads as f64;
        let initial_limit =
            self.initial_in_flight_batches_limit.unwrap_or(IN_FLIGHT_BATCHES_LIMIT.min(max_limit));
        if !(1.0..=max_limit).contains(&initial_limit) {
            return Err(invalid(format!(
                "initial_in_flight_batches_limit is {initial_limit}, 1 to num_batch_threads ({threads}) was wanted"
            )));
        }
        let batches_to_average_over =
            count("batches_to_average_over", self.batches_to_average_over, BATCHES_TO_AVERAGE_OVER)?;
        Ok(InFlight::Adaptive(AdaptiveOptions {
            min_limit: 1.0,
            max_limit,
            initial_limit,
            batches_to_average_over,
        }))
    }

    fn queue(&self, mode: Mode) -> Result<QueueOptions, Status> {
        let levels = self.resolved_levels()?;
        let padding = self.batch_padding_policy.unwrap_or_default();
        let tuning = match (mode, self.latency_target) {
            (Mode::LatencyTarget, Some(target)) => tuning(target, &levels, padding),
            _ => Tuning::Fixed,
        };
        Ok(QueueOptions {
            default_level: self.default_level(levels.len())?,
            mixing: self.mixed_priority_batching_policy.unwrap_or_default(),
            enable_large_batch_splitting: self.splits(),
            padding,
            tuning,
            levels,
        })
    }

    fn splits(&self) -> bool {
        self.enable_large_batch_splitting.unwrap_or(false)
    }

    fn padding(&self) -> Result<Option<Padding>, Status> {
        if self.pad_variable_length_inputs == Some(true) {
            let value = self.padding_value.unwrap_or_default();
            if matches!(value, PadValue::Number(number) if number.is_nan()) {
                return Err(invalid("padding_value is NaN, a number was wanted"));
            }
            return Ok(Some(Padding { value, unpad: self.unpad_outputs.clone().unwrap_or_default() }));
        }
        // Who turns padding off need not unsay what others said of it.
        if self.pad_variable_length_inputs.is_none() {
            for (field, is_said) in [
                ("padding_value", self.padding_value.is_some()),
                ("unpad_outputs", self.unpad_outputs.is_some()),
            ] {
                if is_said {
                    return Err(invalid(format!(
                        "{field} is said and pad_variable_length_inputs is not, true was wanted"
                    )));
                }
            }
        }
        Ok(None)
    }
}

/// Size and wait are found within what the levels let.
fn tuning(target: Duration, levels: &[Level], padding: BatchPadding) -> Tuning {
    let largest = levels.iter().max_by_key(|level| level.max_execution_batch_size);
    // Where batches are not padded, there are more sizes than those.
    let allowed = largest.filter(|_| padding != BatchPadding::Disabled);
    Tuning::LatencyTarget(LatencyTargetOptions {
        target: target.min(LONGEST),
        max_batch_size: largest.map_or(MAX_BATCH_SIZE, |level| level.max_execution_batch_size),
        allowed_batch_sizes: allowed.map(|level| level.allowed_batch_sizes.clone()).unwrap_or_default(),
    })
}

/// As it is written.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Off => "off",
            Mode::Fixed => "fixed",
            Mode::Adaptive => "adaptive",
            Mode::LatencyTarget => "latency_target",
        })
    }
}

fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

/// A number of 1 or more.
fn count(field: &str, said: Option<i64>, default: usize) -> Result<usize, Status> {
    let Some(said) = said else { return Ok(default) };
    usize::try_from(said)
        .ok()
        .filter(|count| (1..=MOST).contains(count))
        .ok_or_else(|| invalid(format!("{field} is {said}, 1 to {MOST} was wanted")))
}
