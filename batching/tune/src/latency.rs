//! Batch size and wait, found from a target for latency.
//!
//! Two rules that need no search, from a model of what a run costs by its size ([`CostModel`]):
//!
//! **How large.** A request that just missed a batch waits for one whole run, then for its own: a run may take half of the
//! target. Of the sizes that stay below that, almost always (the model's cost times a high quantile of what runs took against
//! it), the one that costs least for each row is best, and of those that cost about the same the smallest: where a model
//! gains nothing from batches, its batches are small; but where more wait than a batch can take, the largest. Sizes are
//! tried by doubling, half-way between two that were measured, or one after the other where only some are allowed: a size is
//! worth a try that would be best if it cost as little as it can. The half is a guess that is corrected by what requests really took (additive increase, multiplicative decrease): less where they
//! are late, and more, up to the whole target, where more of them wait than a batch can take. That is what sets this apart from
//! Clipper's rule (Crankshaw et al., NSDI 2017, 4.3), which shrinks batches whenever latency is too high: where the device
//! cannot keep up, smaller batches make it slower still.
//!
//! **How long to wait.** While the device is busy, waiting costs nothing, and whatever came meanwhile leaves as it
//! becomes free. To leave it idle pays only for those whose answers have just left, if they soon come back: else clients that take
//! turns with the device split into two halves that wait for one another, and each run is half as large as it could be.
//! How soon they come back is measured after each run. A wait is worth it if more rows in a second are done with it
//! than by going on at once with what is there, and than in two halves. Where clients do not come back, as those of an
//! open system do not, it never is; nor for a lone client. A request that comes long after the last run never waits.

use std::time::{Duration, Instant};

use salver_core_status::Status;

use crate::cost::{CostModel, Known, Measured};
use crate::limits::{LatencyTargetOptions, Limits};
use crate::returns::Returns;

/// Finds the batch size and the wait that bring most through within a target for latency.
#[derive(Clone, Debug)]
pub struct LatencyTarget {
    options: LatencyTargetOptions,
    cost: CostModel,
    /// By how much a run is off the model, in the mean, in parts of what the model says.
    deviation: f64,
    /// What a run may take, in seconds.
    budget: f64,
    returns: Returns,
    idle: Idle,
    limits: Limits,
}

/// The threads that have become idle, one after another, while a batch was held back.
#[derive(Clone, Copy, Debug, Default)]
struct Idle {
    threads: usize,
    /// The rows that they are held back for: those that waited already and those that were answered.
    expected: usize,
}

/// A size is as good as another if its rows cost no more than so many times as much.
const ABOUT_THE_SAME: f64 = 1.03;

/// A wait must bring so many times the throughput.
const WORTH_A_WAIT: f64 = 1.02;

/// A wait may be longer than the best by what costs so much of the throughput where the last do not come: who misses a
/// batch waits for a whole run, and mostly nobody does, so that the batch leaves before the wait is over.
const FOR_THE_LAST: f64 = 0.95;

/// A share of those answered that counts as all.
const ALL: f64 = 0.998;

impl LatencyTarget {
    /// Begins with nothing known.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that names the option: those of [`LatencyTargetOptions::check`].
    pub fn new(options: LatencyTargetOptions) -> Result<Self, Status> {
        options.check()?;
        let mut new = Self {
            cost: CostModel::default(),
            deviation: 0.1,
            budget: options.target.as_secs_f64() / 2.0,
            returns: Returns::default(),
            idle: Idle::default(),
            limits: Limits { batch_size: 1, wait: Duration::ZERO, since: None },
            options,
        };
        new.limits.batch_size = new.allowed(1.0);
        Ok(new)
    }

    /// Takes in that a task of `rows` rows arrived and will wait.
    pub fn arrived(&mut self, rows: usize, now: Instant) {
        self.returns.arrived(rows, now);
    }

    /// Takes in one run of `rows` rows (padding counted) that took `took` and has just ended, whose first task had waited
    /// `waited` before; `waiting` rows wait now.
    pub fn ran(&mut self, rows: usize, took: Duration, waited: Duration, waiting: usize, now: Instant) {
        self.learn(rows, took.as_secs_f64());
        self.cost.note(rows, took);
        let is_late = took.saturating_add(waited) > self.options.target;
        let is_behind = waiting > self.limits.batch_size;
        self.correct(is_late, is_behind);
        let answered = self.returns.ran(rows, waiting, now);
        let is_gathering =
            self.limits.since.is_some_and(|since| now.saturating_duration_since(since) < self.limits.wait);
        if answered.has_batch_left || !is_gathering {
            self.idle = Idle { threads: 0, expected: waiting };
        }
        self.idle.threads += 1;
        self.idle.expected = self.idle.expected.saturating_add(answered.rows);
        // Threads that are idle at one time share who is expected.
        let expected = self.idle.expected.div_ceil(self.idle.threads);
        let here = waiting as f64 / self.idle.threads as f64;
        let together = self.together(expected as f64);
        let wait = self.worth_waiting(here, expected as f64 - here, together);
        // Those who are held back leave as soon as everyone is there.
        let batch_size = if wait.is_some() { together as usize } else { self.size(is_behind) };
        self.limits = Limits { batch_size, wait: wait.unwrap_or_default(), since: wait.map(|_| now) };
    }

    /// What the queue should do for now.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes in by how much a run was off the model.
    fn learn(&mut self, rows: usize, seconds: f64) {
        const GAIN: f64 = 0.05;
        if let Known::Seconds(usual) = self.cost.known(rows as f64)
            && usual > 0.0
        {
            // One slow run in many says little of the others.
            let off = (seconds / usual - 1.0).abs().min(4.0 * self.deviation.max(0.02));
            self.deviation += GAIN * (off - self.deviation);
        }
    }

    /// What 95 of 100 runs take at most, in parts of what the model says: 1.65 standard deviations, each 1.25 mean ones.
    fn spread(&self) -> f64 {
        1.0 + 2.0 * self.deviation
    }

    /// Corrects what a run may take by what one did to its requests.
    fn correct(&mut self, is_late: bool, is_behind: bool) {
        let target = self.options.target.as_secs_f64();
        self.budget = match (is_late, is_behind) {
            (true, true) => self.budget + target / 16.0,
            (true, false) => self.budget * 0.95,
            (false, true) => self.budget + target / 512.0,
            (false, false) => self.budget + (target / 2.0 - self.budget).max(0.0) / 64.0,
        }
        .clamp(target / 4.0, target);
    }

    /// The size that costs least for each row and whose run keeps to the budget: one that was measured, or one that is
    /// worth a try.
    fn size(&self, is_behind: bool) -> usize {
        let measured: Vec<Measured> = self.cost.measured().collect();
        let Some(least) = measured.iter().map(|size| size.seconds).reduce(f64::min) else {
            return self.allowed(1.0);
        };
        // Where not even the cheapest run keeps to the budget, those that take little more are hardly worse; and where it
        // does not keep to the target, there is only throughput left to find.
        let budget = match least <= self.options.target.as_secs_f64() {
            true => (self.budget / self.spread()).max(least * 1.25),
            false => f64::INFINITY,
        };
        let mut sizes = Vec::with_capacity(2 * measured.len());
        for (index, size) in measured.iter().enumerate() {
            if size.rows >= 1.0 && size.seconds <= budget {
                sizes.push((size.rows, size.seconds * self.doubt(size)));
                sizes.extend(self.worth_a_try(size, measured.get(index + 1), budget));
            }
        }
        let best = sizes.iter().map(|(rows, seconds)| seconds / rows).fold(f64::INFINITY, f64::min);
        let mut good = sizes.iter().filter(|(rows, seconds)| seconds / rows <= best * ABOUT_THE_SAME);
        let found = if is_behind { good.next_back() } else { good.next() };
        self.allowed(found.map_or(1.0, |(rows, _)| *rows))
    }

    /// A size well above one that was measured and well below the next, and what it costs at best, if that keeps to the
    /// budget: the next that is allowed, where sizes are given; else one half-way, as far as the line to the next keeps
    /// to the budget; and twice as large, where nothing larger was measured, which cannot cost much more than twice as much.
    fn worth_a_try(&self, size: &Measured, next: Option<&Measured>, budget: f64) -> Option<(f64, f64)> {
        let tried = match (&self.options.allowed_batch_sizes[..], next) {
            ([], None) => Some(2.0 * size.rows),
            ([], Some(next)) => {
                let slope = (next.seconds - size.seconds).max(0.0) / (next.rows - size.rows);
                let fits = if slope > 0.0 { size.rows + (budget - size.seconds) / slope } else { next.rows };
                Some(((size.rows + next.rows) / 2.0).min(fits)).filter(|tried| *tried <= 0.9 * next.rows)
            }
            (sizes, _) => sizes.iter().map(|size| *size as f64).find(|tried| *tried > 1.01 * size.rows),
        };
        let tried = tried.filter(|tried| *tried >= 1.25 * size.rows)?;
        let at_best = self.at_best(size, tried);
        (at_best <= budget).then_some((tried, at_best))
    }

    /// What a size `above` costs at best: what it has on the line through `size` and one well below it; as much as `size`
    /// where none is known.
    fn at_best(&self, size: &Measured, above: f64) -> f64 {
        let slope = self.cost.measured_below(0.75 * size.rows).map_or(0.0, |below| {
            // As flat as the few runs of both can mean.
            let rise = size.seconds * (2.0 - self.doubt(size)) - below.seconds * self.doubt(&below);
            rise / (size.rows - below.rows)
        });
        size.seconds + slope.max(0.0) * (above - size.rows)
    }

    /// The largest size that is allowed and no larger than `rows`; the smallest where none is.
    fn allowed(&self, rows: f64) -> usize {
        let rows = (rows.round() as usize).clamp(1, self.options.max_batch_size);
        let sizes = &self.options.allowed_batch_sizes;
        match sizes.iter().rev().find(|size| **size <= rows).or(sizes.first()) {
            Some(size) => *size,
            None => rows,
        }
    }

    /// What a run of `rows` rows takes, padded as it will be, in seconds. Of sizes that were not measured,
    /// those above are held to cost the least they can, and those below the most: what is unknown is tried.
    fn seconds(&self, rows: f64) -> Option<f64> {
        let rows = rows.max(1.0);
        let padded =
            self.options.allowed_batch_sizes.iter().map(|size| *size as f64).find(|size| *size >= rows);
        let rows = padded.unwrap_or(rows);
        match self.cost.known(rows) {
            Known::Seconds(seconds) => Some(seconds),
            Known::Below(smallest) => Some(smallest.seconds * rows / smallest.rows),
            Known::Above(largest) => Some(self.at_best(&largest, rows)),
            Known::Nothing => None,
        }
    }

    /// How many of `all` rows to run as one, if they are held back for one another: all, unless a part costs much less for
    /// each row. Nobody among them just missed a batch, so the run may take the whole target.
    fn together(&self, all: f64) -> f64 {
        let all = all.min(self.options.max_batch_size as f64);
        let budget = self.options.target.as_secs_f64();
        let of_all = self
            .seconds(all)
            .filter(|seconds| *seconds <= budget)
            .map_or(f64::INFINITY, |seconds| seconds / all);
        let mut best = (of_all * FOR_THE_LAST, all);
        for size in self.cost.measured().filter(|size| size.rows < all && size.seconds <= budget) {
            let each = size.seconds * self.doubt(&size) / size.rows.max(1.0);
            if each < best.0 {
                best = (each, size.rows.round());
            }
        }
        best.1
    }

    /// By how much more a size may cost than its few runs say, which may have been fast by chance.
    fn doubt(&self, size: &Measured) -> f64 {
        1.0 + 2.0 * self.deviation / size.runs.sqrt()
    }

    /// How long to leave the device idle after a run that has answered `answered` rows, while `waiting` wait, for a batch
    /// of `largest` rows at most.
    fn worth_waiting(&self, waiting: f64, answered: f64, largest: f64) -> Option<Duration> {
        let all = (waiting + answered).min(largest);
        if waiting >= largest || all < 2.0 {
            return None;
        }
        let rate = |rows: f64, seconds: f64| if rows > 0.0 { rows / seconds } else { 0.0 };
        let at_once = rate(waiting, self.seconds(waiting)?);
        let in_halves = rate(all, 2.0 * self.seconds(all / 2.0)?);
        let wanted = at_once.max(in_halves) * WORTH_A_WAIT;
        let longest = all / wanted;
        let mut best: Option<(f64, f64)> = None;
        for (wait, share) in self.returns.by_delay().take_while(|(wait, _)| *wait < longest) {
            let rows = (waiting + share * answered).min(largest);
            let run = self.seconds(rows)?;
            if wait + run > self.options.target.as_secs_f64() {
                break;
            }
            let with_wait = rate(rows, wait + run);
            let so_far = best.map_or(wanted, |(rate, _)| rate);
            if with_wait > so_far {
                best = Some((with_wait, wait));
            } else if let Some((_, longest)) = &mut best
                && with_wait > (so_far * FOR_THE_LAST).max(wanted)
            {
                *longest = wait;
            }
            if share > ALL {
                break;
            }
        }
        best.and_then(|(_, wait)| Duration::try_from_secs_f64(wait).ok())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options() -> LatencyTargetOptions {
        LatencyTargetOptions {
            target: Duration::from_millis(10),
            max_batch_size: 64,
            allowed_batch_sizes: vec![2, 8, 64],
        }
    }

    proptest! {
        #[test]
        fn whatever_is_measured_the_size_is_one_that_is_allowed(
            events in prop::collection::vec((any::<bool>(), any::<u8>(), any::<u8>(), any::<u64>(), 0u32..64), 0..200),
            is_any_allowed: bool,
        ) {
            let allowed = if is_any_allowed { Vec::new() } else { vec![2, 8, 64] };
            let options = LatencyTargetOptions { allowed_batch_sizes: allowed.clone(), ..options() };
            let mut target = LatencyTarget::new(options).unwrap();
            let mut now = Instant::now();
            for (runs, rows, waiting, nanos, shift) in events {
                // Sizes and times of every order.
                let rows = (rows as usize) << (shift % 57);
                let time = Duration::from_nanos(nanos >> shift);
                now += time.min(Duration::from_secs(100));
                if runs {
                    target.ran(rows, time, time / 2, waiting as usize, now);
                } else {
                    target.arrived(rows, now);
                }
                let limits = target.limits();
                prop_assert!((1..=64).contains(&limits.batch_size), "{limits:?}");
                prop_assert!(is_any_allowed || limits.since.is_some() || allowed.contains(&limits.batch_size), "{limits:?}");
                prop_assert!(limits.wait <= Duration::from_millis(10), "{limits:?}");
            }
        }
    }
}
