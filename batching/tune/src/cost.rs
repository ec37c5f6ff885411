//! What a batch costs by its size.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a run takes, by the number of rows it has.
///
/// Each size seen has a mean that forgets: exact to 32 rows, and from there on for sizes that differ by less than a
/// sixteenth together, so that the model stays small whatever the sizes are. Between two sizes seen, the cost lies on the line between
/// them. One slow run in many hardly moves a mean; a size that was not seen for a thousand runs is unknown again, so
/// that it is tried again rather than judged by what the device did long ago.
#[derive(Clone, Debug)]
pub struct CostModel {
    points: BTreeMap<u32, Point>,
    runs: u64,
    /// How slow the device is, of late: what sizes take beside what they took when they were last seen.
    pace: f64,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    /// The mean number of rows of the runs taken together, and of seconds at a pace of 1.
    rows: f64,
    seconds: f64,
    seen: u32,
    last_seen: u64,
}

/// How much of a new run goes into a mean that has settled.
const GAIN: f64 = 0.05;

/// A run that takes this many times as long as the mean, or longer, counts as so many times.
const SLOW: f64 = 1.5;

/// A run that takes so many times less starts the mean anew, since nothing makes a device fast by chance.
const FAST: f64 = 3.0;

/// A size is forgotten after so many runs of others.
const MEMORY: u64 = 1000;

/// What is known of a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Known {
    /// It was measured, or lies between sizes that were: the seconds it takes.
    Seconds(f64),
    /// It is below the smallest size measured.
    Below(Measured),
    /// It is above the largest size measured.
    Above(Measured),
    /// Nothing was measured.
    Nothing,
}

/// A size that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) rows: f64,
    pub(crate) seconds: f64,
    /// How many runs the mean rests on.
    pub(crate) runs: f64,
}

impl Default for CostModel {
    fn default() -> Self {
        Self { points: BTreeMap::new(), runs: 0, pace: 1.0 }
    }
}

impl CostModel {
    /// Takes in one run of `rows` rows (padding counted).
    pub fn note(&mut self, rows: usize, took: Duration) {
        self.runs += 1;
        self.keep_pace(rows, took.as_secs_f64());
        let (seconds, last_seen) = (took.as_secs_f64() / self.pace, self.runs);
        let new = Point { rows: rows as f64, seconds, seen: 1, last_seen };
        self.points
            .entry(bucket(rows))
            .and_modify(|point| {
                if seconds * FAST < point.seconds {
                    *point = new;
                    return;
                }
                point.seen = point.seen.saturating_add(1);
                let gain = (1.0 / f64::from(point.seen)).max(GAIN);
                point.rows += gain * (rows as f64 - point.rows);
                point.seconds += gain * (seconds.min(SLOW * point.seconds) - point.seconds);
                point.last_seen = last_seen;
            })
            .or_insert(new);
        if self.runs.is_multiple_of(MEMORY / 8) {
            let runs = self.runs;
            self.points.retain(|_, point| runs - point.last_seen <= MEMORY);
        }
    }

    /// Takes a run that is off what its size takes for a sign that all sizes are, in small part.
    fn keep_pace(&mut self, rows: usize, seconds: f64) {
        const SETTLED: u32 = 5;
        const GAIN: f64 = 0.05;
        const LARGEST_STEP: f64 = 0.3;
        if let Some(point) = self.points.get(&bucket(rows))
            && point.seen >= SETTLED
            && point.seconds > 0.0
        {
            let off = seconds / (point.seconds * self.pace) - 1.0;
            self.pace = (self.pace * (1.0 + GAIN * off.clamp(-LARGEST_STEP, LARGEST_STEP))).clamp(1e-3, 1e3);
        }
    }

    /// What a run of `rows` rows takes; `None` where neither it nor sizes on both sides were measured.
    pub fn cost(&self, rows: usize) -> Option<Duration> {
        match self.known(rows as f64) {
            Known::Seconds(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Known::Below(_) | Known::Above(_) | Known::Nothing => {
                let same = self.points.get(&bucket(rows))?;
                Duration::try_from_secs_f64(same.seconds * self.pace).ok()
            }
        }
    }

    pub(crate) fn known(&self, rows: f64) -> Known {
        // The mean of a bucket may lie on either side of `rows`: the neighbours are looked for one bucket further.
        let at = bucket(rows as usize);
        let lower = self.points.range(..=at).rev().map(|(_, point)| point).find(|point| point.rows <= rows);
        let upper = self.points.range(at..).map(|(_, point)| point).find(|point| point.rows >= rows);
        match (lower, upper) {
            (Some(lower), Some(upper)) if upper.rows > lower.rows => {
                let way = (rows - lower.rows) / (upper.rows - lower.rows);
                Known::Seconds(self.pace * (lower.seconds + way * (upper.seconds - lower.seconds)))
            }
            (Some(exact), Some(_)) => Known::Seconds(self.pace * exact.seconds),
            (Some(lower), None) => Known::Above(lower.measured(self.pace)),
            (None, Some(upper)) => Known::Below(upper.measured(self.pace)),
            (None, None) => Known::Nothing,
        }
    }

    /// The sizes measured, ascending, with the seconds each takes.
    pub(crate) fn measured(&self) -> impl Iterator<Item = Measured> + '_ {
        self.points.values().map(|point| point.measured(self.pace))
    }

    /// The largest size measured of `rows` or fewer rows.
    pub(crate) fn measured_below(&self, rows: f64) -> Option<Measured> {
        let up_to = self.points.range(..=bucket(rows as usize)).rev();
        up_to.map(|(_, point)| point.measured(self.pace)).find(|below| below.rows <= rows)
    }
}

impl Point {
    fn measured(&self, pace: f64) -> Measured {
        let runs = f64::from(self.seen).min(1.0 / GAIN);
        Measured { rows: self.rows, seconds: self.seconds * pace, runs }
    }
}

/// Sizes that are taken together: each its own below 32, then 16 to each doubling.
fn bucket(rows: usize) -> u32 {
    const EXACT: usize = 32;
    if rows < EXACT {
        return rows as u32;
    }
    let doublings = rows.ilog2() - EXACT.ilog2() + 1;
    16 * doublings + (rows >> doublings) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn model(runs: &[(usize, Duration)]) -> CostModel {
        let mut model = CostModel::default();
        for (rows, took) in runs {
            model.note(*rows, *took);
        }
        model
    }

    #[test]
    fn a_size_between_two_that_were_measured_lies_on_the_line_between_them() {
        let model = model(&[(4, 2 * MS), (8, 4 * MS), (100, 20 * MS)]);
        assert_eq!(model.cost(4), Some(2 * MS));
        assert_eq!(model.cost(6), Some(3 * MS));
        assert_eq!(model.cost(54), Some(12 * MS));
        assert_eq!(model.cost(3), None);
        assert_eq!(model.cost(200), None);
    }

    #[test]
    fn buckets_ascend_and_differ_by_a_sixteenth_at_most() {
        for rows in 1..10_000usize {
            assert!(bucket(rows) >= bucket(rows - 1), "{rows}");
            assert!(bucket(rows + rows.div_ceil(16)) > bucket(rows), "{rows}");
        }
        assert_eq!((bucket(31), bucket(32), bucket(33), bucket(34)), (31, 32, 32, 33));
    }

    #[test]
    fn one_slow_run_hardly_moves_a_cost_and_a_slow_device_does() {
        let mut model = model(&[(8, MS); 100]);
        model.note(8, 1000 * MS);
        assert!(model.cost(8).unwrap() < MS * 12 / 10);
        for _ in 0..100 {
            model.note(8, 4 * MS);
        }
        assert!(model.cost(8).unwrap() > MS * 38 / 10);
    }

    #[test]
    fn a_device_that_slows_down_slows_all_sizes() {
        let runs = [[(8, MS); 50], [(16, 2 * MS); 50], [(8, 2 * MS); 50]].concat();
        let cost = model(&runs).cost(16).unwrap();
        assert!(cost > 5 * MS / 2, "{cost:?}");
    }

    #[test]
    fn a_first_run_that_was_slow_is_forgotten_at_the_second() {
        assert_eq!(model(&[(8, 500 * MS), (8, MS)]).cost(8), Some(MS));
    }

    #[test]
    fn a_size_that_is_not_run_any_more_is_unknown_again() {
        let mut model = model(&[(4, MS)]);
        for _ in 0..2 * MEMORY {
            model.note(8, MS);
        }
        assert_eq!((model.cost(4), model.cost(8)), (None, Some(MS)));
    }

    #[test]
    fn any_run_is_taken() {
        let model = model(&[(0, Duration::ZERO), (usize::MAX, Duration::MAX), (7, Duration::ZERO)]);
        assert_eq!(model.cost(7), Some(Duration::ZERO));
        assert!(model.cost(usize::MAX / 2).is_some());
    }
}
