//! Figures of several rounds, and the promises they are held to.

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The figures of one quantity, a figure a round. Shows as `median (least..most)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The figure in the middle; the mean of the two in the middle of an even number, 0 of none.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        let of = |index: usize| sorted.get(index).copied().unwrap_or_default();
        if sorted.len().is_multiple_of(2) {
            f64::midpoint(of(middle.saturating_sub(1)), of(middle))
        } else {
            of(middle)
        }
    }

    /// From the least to the most, over the median.
    pub(crate) fn spread(&self) -> f64 {
        let sorted = self.sorted();
        let spread = sorted.last().zip(sorted.first()).map_or(0.0, |(most, least)| most - least);
        spread / self.median()
    }

    /// Round by round, these figures over those of `other`: both are disturbed alike.
    pub(crate) fn over(&self, other: &Rounds) -> Rounds {
        self.0.iter().zip(&other.0).map(|(mine, theirs)| mine / theirs).collect()
    }

    /// Round by round, these figures less those of `other`.
    pub(crate) fn less(&self, other: &Rounds) -> Rounds {
        self.0.iter().zip(&other.0).map(|(mine, theirs)| mine - theirs).collect()
    }

    /// The largest of them; 0 of none.
    pub(crate) fn most(&self) -> f64 {
        self.sorted().last().copied().unwrap_or_default()
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        Self(figures.into_iter().collect())
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let (least, most) = (sorted.first().copied(), sorted.last().copied());
        let [median, least, most] =
            [self.median(), least.unwrap_or_default(), most.unwrap_or_default()].map(Figure);
        f.pad(&format!("{median} ({least}..{most})"))
    }
}

/// A number with three significant digits, or all of those before the point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure(pub(crate) f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.0.abs() {
            100.0.. => 0,
            10.0.. => 1,
            1.0.. => 2,
            0.1.. => 3,
            _ => 4,
        };
        f.pad(&format!("{:.decimals$}", self.0))
    }
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure beside its promise. Shows as `promise NAME VALUE UNIT want OP BOUND met|MISSED`.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) want: Want,
}

impl Promise {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str, want: Want) -> Self {
        Self { name: name.into(), value, unit, want }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, bound, is_met) = match self.want {
            Want::AtLeast(bound) => (">=", bound, self.value >= bound),
            Want::AtMost(bound) => ("<=", bound, self.value <= bound),
        };
        let (name, value, unit) = (&self.name, Figure(self.value), self.unit);
        let verdict = if is_met { "met" } else { "MISSED" };
        write!(f, "promise {name} {value} {unit} want {operator} {bound} {verdict}")
    }
}

/// The CPU time that this thread has used: what a figure "per core" is measured by, since other programs' work does
/// not count in it.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(figures: &[f64]) -> Rounds {
        figures.iter().copied().collect()
    }

    #[test]
    fn the_median_is_in_the_middle_and_beside_it_are_the_least_and_the_most() {
        assert_eq!(rounds(&[3.0, 1.0, 200.0]).to_string(), "3.00 (1.00..200)");
        assert_eq!(rounds(&[4.0, 1.0, 2.0, 9.0]).median(), 3.0);
        assert_eq!(rounds(&[4.0, 1.0, 2.0, 7.0]).spread(), 2.0);
    }

    #[test]
    fn rounds_are_compared_one_by_one() {
        let (fast, slow) = (rounds(&[10.0, 1.0, 30.0]), rounds(&[5.0, 2.0, 10.0]));
        assert_eq!(fast.over(&slow).median(), 2.0);
        assert_eq!(fast.less(&slow).median(), 5.0);
    }

    #[test]
    fn a_promise_says_whether_it_is_met() {
        let promise = |want| Promise::new("boundary", 31.26, "ns", want).to_string();
        assert_eq!(promise(Want::AtMost(30.0)), "promise boundary 31.3 ns want <= 30 MISSED");
        assert_eq!(promise(Want::AtLeast(0.85)), "promise boundary 31.3 ns want >= 0.85 met");
    }

    #[test]
    fn work_takes_cpu_time_of_the_thread_that_does_it() {
        let start = thread_cpu_time();
        while thread_cpu_time() == start {
            std::hint::spin_loop();
        }
        assert!(thread_cpu_time() > start);
    }
}
