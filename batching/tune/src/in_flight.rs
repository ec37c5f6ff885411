//! How many batches run at once, found by climbing on latency.

use std::time::Duration;

use salver_core_status::Status;

/// The settings of an [`InFlightLimit`]: those of TensorFlow's `AdaptiveSharedBatchScheduler`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveOptions {
    /// The least limit; 1 or more.
    pub min_limit: f64,
    /// The greatest limit: the pool's threads.
    pub max_limit: f64,
    /// The limit to begin with (`initial_in_flight_batches_limit`, 3).
    pub initial_limit: f64,
    /// After so many batches the limit moves (`batches_to_average_over`, 1000).
    pub batches_to_average_over: usize,
}

impl AdaptiveOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option, what it is and what was wanted.
    pub fn check(&self) -> Result<(), Status> {
        let wrong = |option: &str, found: f64, wanted: String| {
            Err(Status::invalid_argument(format!("{option} is {found}, {wanted} was wanted")))
        };
        let Self { min_limit, max_limit, initial_limit, batches_to_average_over } = *self;
        if !(min_limit.is_finite() && min_limit >= 1.0) {
            return wrong("min_in_flight_batches_limit", min_limit, "1 or more".to_owned());
        }
        if !(max_limit.is_finite() && max_limit >= min_limit) {
            let wanted = format!("the least limit ({min_limit}) or more");
            return wrong("max_in_flight_batches_limit", max_limit, wanted);
        }
        if !(min_limit..=max_limit).contains(&initial_limit) {
            let wanted = format!("{min_limit} to {max_limit}");
            return wrong("initial_in_flight_batches_limit", initial_limit, wanted);
        }
        if batches_to_average_over == 0 {
            return wrong("batches_to_average_over", 0.0, "1 or more".to_owned());
        }
        Ok(())
    }
}

/// A limit of batches in flight that moves towards lower latency.
///
/// The algorithm is that of TensorFlow's `AdaptiveSharedBatchScheduler`: latency is taken to be a convex function of the
/// limit. After every so many batches the limit moves by a share of itself, and the mean latency is compared with that before. When
/// it fell twice in a row the step doubles, to an eighth at most; when it rose the limit turns back; and when it fell after
/// turning back the step halves, to 1/128 at least. Unlike there, the first mean is compared with nothing.
#[derive(Clone, Debug)]
pub struct InFlightLimit {
    options: AdaptiveOptions,
    limit: f64,
    /// The share of itself by which the limit moves; negative on the way down.
    step: f64,
    batches: usize,
    latency_sum: f64,
    last_mean: Option<f64>,
    /// Whether the last mean was below the one before.
    fell: bool,
}

const LARGEST_STEP: f64 = 1.0 / 8.0;
const SMALLEST_STEP: f64 = 1.0 / 128.0;

impl InFlightLimit {
    /// A limit that begins where the options say.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option: those of [`AdaptiveOptions::check`].
    pub fn new(options: AdaptiveOptions) -> Result<Self, Status> {
        options.check()?;
        Ok(Self {
            limit: options.initial_limit,
            options,
            step: LARGEST_STEP,
            batches: 0,
            latency_sum: 0.0,
            last_mean: None,
            fell: false,
        })
    }

    /// Takes in one batch: the mean time its tasks took from being scheduled to being done.
    pub fn note(&mut self, latency: Duration) {
        self.latency_sum += latency.as_secs_f64();
        self.batches += 1;
        if self.batches < self.options.batches_to_average_over {
            return;
        }
        let mean = self.latency_sum / self.batches as f64;
        (self.latency_sum, self.batches) = (0.0, 0);
        if let Some(last) = self.last_mean.replace(mean) {
            let falls = mean < last;
            if falls {
                let step = self.step.abs() * if self.fell { 2.0 } else { 0.5 };
                self.step = step.clamp(SMALLEST_STEP, LARGEST_STEP).copysign(self.step);
            } else {
                self.step = -self.step;
            }
            self.fell = falls;
        }
        self.limit += self.limit * self.step;
        self.limit = self.limit.clamp(self.options.min_limit, self.options.max_limit);
    }

    /// How many batches may run at once, a fraction meant as a probability: `roll` is a number of 0 to 1 that decides.
    pub fn limit(&self, roll: f64) -> usize {
        let whole = self.limit.floor();
        let more = roll < self.limit - whole;
        whole as usize + usize::from(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> AdaptiveOptions {
        AdaptiveOptions { min_limit: 1.0, max_limit: 16.0, initial_limit: 3.0, batches_to_average_over: 10 }
    }

    /// Where the limit stands after `moves` moves where latency is what `at` says of the limit.
    fn climb(options: AdaptiveOptions, moves: usize, at: impl Fn(f64) -> f64) -> InFlightLimit {
        let mut limit = InFlightLimit::new(options.clone()).unwrap();
        for _ in 0..moves * options.batches_to_average_over {
            limit.note(Duration::from_secs_f64(at(limit.limit)));
        }
        limit
    }

    #[test]
    fn the_limit_settles_where_latency_is_lowest() {
        for best in [1.0f64, 2.5, 7.0, 15.0] {
            let limit = climb(options(), 100, |limit| 1.0 + (limit - best).abs());
            assert!((limit.limit - best).abs() < 0.15 * best, "{best}: {}", limit.limit);
        }
    }

    #[test]
    fn the_limit_follows_when_the_lowest_latency_moves() {
        let mut limit = climb(options(), 60, |limit| 1.0 + (limit - 12.0).abs());
        for _ in 0..60 * 10 {
            limit.note(Duration::from_secs_f64(1.0 + (limit.limit - 2.0).abs()));
        }
        assert!((limit.limit - 2.0).abs() < 0.4, "{}", limit.limit);
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        assert_eq!(climb(options(), 100, |limit| 1.0 / limit).limit, 16.0);
        let down = climb(options(), 100, |limit| limit);
        assert!(down.limit < 1.2, "{}", down.limit);
    }

    #[test]
    fn the_limit_moves_only_after_so_many_batches() {
        let mut limit = InFlightLimit::new(options()).unwrap();
        for _ in 0..9 {
            limit.note(Duration::from_secs(1));
            assert_eq!(limit.limit, 3.0);
        }
        limit.note(Duration::from_secs(1));
        assert_eq!(limit.limit, 3.375);
    }

    #[test]
    fn a_fraction_is_a_probability() {
        let limit = InFlightLimit::new(AdaptiveOptions { initial_limit: 2.25, ..options() }).unwrap();
        assert_eq!((limit.limit(0.0), limit.limit(0.24), limit.limit(0.25), limit.limit(1.0)), (3, 3, 2, 2));
        let whole = InFlightLimit::new(options()).unwrap();
        assert_eq!((whole.limit(0.0), whole.limit(1.0)), (3, 3));
    }

    #[test]
    fn wrong_options_are_named() {
        let cases = [
            (
                AdaptiveOptions { min_limit: 0.5, ..options() },
                "min_in_flight_batches_limit is 0.5, 1 or more",
            ),
            (AdaptiveOptions { min_limit: f64::NAN, ..options() }, "min_in_flight_batches_limit is NaN"),
            (AdaptiveOptions { max_limit: 0.0, ..options() }, "max_in_flight_batches_limit is 0"),
            (
                AdaptiveOptions { initial_limit: 17.0, ..options() },
                "initial_in_flight_batches_limit is 17, 1 to 16",
            ),
            (
                AdaptiveOptions { batches_to_average_over: 0, ..options() },
                "batches_to_average_over is 0, 1 or more",
            ),
        ];
        for (options, wanted) in cases {
            let error = InFlightLimit::new(options).unwrap_err();
            assert_eq!(error.code(), salver_core_status::Code::InvalidArgument);
            assert!(error.message().starts_with(wanted), "{error}");
        }
    }
}
