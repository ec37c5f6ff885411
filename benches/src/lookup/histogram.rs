//! How often something took how long.

use std::time::Duration;

/// Counts of durations, exact to a thirty-second of each.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Vec<u64>);

/// Places to each doubling.
const PLACES: u64 = 32;

impl Default for Histogram {
    fn default() -> Self {
        let doublings = u64::from(u64::BITS);
        Self(vec![0; (doublings * PLACES) as usize])
    }
}

impl Histogram {
    pub(super) fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.0.get_mut(place(nanoseconds)) {
            *count += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// What a share of all took no longer than, in nanoseconds; 0 of none.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let all: u64 = self.0.iter().sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut seen = 0;
        let found = self.0.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        if all == 0 { 0.0 } else { found.map_or(0.0, |place| begin(place as u64) as f64) }
    }
}

/// Exact below [`PLACES`]; above, the leading bits count.
fn place(nanoseconds: u64) -> usize {
    let shift = nanoseconds.checked_ilog2().unwrap_or(0).saturating_sub(PLACES.ilog2());
    (u64::from(shift) * PLACES + (nanoseconds >> shift)) as usize
}

/// The least that has this place.
fn begin(place: u64) -> u64 {
    let shift = (place / PLACES).saturating_sub(1);
    (place - shift * PLACES) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_place_that_begins_at_most_a_thirty_second_below_it() {
        let nanoseconds = [0, 1, 31, 32, 33, 63, 64, 65, 1000, 123_456_789, u64::MAX / 3, u64::MAX];
        for nanoseconds in nanoseconds {
            let begin = begin(place(nanoseconds) as u64);
            assert!(begin <= nanoseconds && nanoseconds - begin <= nanoseconds / 32, "{begin} {nanoseconds}");
            assert!(place(nanoseconds) < Histogram::default().0.len());
        }
    }

    #[test]
    fn a_quantile_is_what_that_share_took_no_longer_than() {
        let mut histogram = Histogram::default();
        let mut rest = Histogram::default();
        (1..=10).for_each(|nanoseconds| histogram.record(Duration::from_nanos(nanoseconds)));
        (11..=20).for_each(|nanoseconds| rest.record(Duration::from_nanos(nanoseconds)));
        histogram.merge(&rest);
        assert_eq!((histogram.quantile(0.5), histogram.quantile(1.0)), (10.0, 20.0));
        assert_eq!(Histogram::default().quantile(0.5), 0.0);
    }
}
