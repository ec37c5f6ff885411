//! How soon those come back whose answers have just left.

use std::time::{Duration, Instant};

/// How many rows arrive in how long a time after a run has ended, as a share of those that it answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Returns {
    /// When the last run ended, and how many rows it answered.
    since: Option<Instant>,
    answered: usize,
    /// The rows that arrived since, by the delay.
    arrived: [u32; DELAYS],
    /// The rows that arrived and are not known to be answered, and how many of them were under way when the last run had
    /// ended.
    pending: usize,
    under_way: usize,
    /// Forgetting sums over runs: of the rows that came back, by the delay, and of the rows answered.
    returned_sum: [f64; DELAYS],
    answered_sum: f64,
}

/// What is known of a run that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// The rows that it answered.
    pub(crate) rows: usize,
    /// Whether another has begun since the one before ended.
    pub(crate) has_batch_left: bool,
}

/// The delays that are told apart, two to each doubling from the shortest, 8 us, to 134 ms.
const DELAYS: usize = 2 * (LONGEST - SHORTEST) as usize + 1;
const SHORTEST: u32 = 13;
const LONGEST: u32 = 27;

/// How much of a sum is kept with each run.
const MEMORY: f64 = 0.9;

impl Returns {
    pub(crate) fn arrived(&mut self, rows: usize, now: Instant) {
        self.pending = self.pending.saturating_add(rows);
        let Some(since) = self.since else { return };
        if let Some(count) = self.arrived.get_mut(place(now.saturating_duration_since(since))) {
            *count = count.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        }
    }

    /// Takes in that a run of `rows` rows, padding counted, has ended while `waiting` rows wait, and tells how many it
    /// answered: no more than arrived and neither wait nor were answered before. Where several padded runs are under way,
    /// the padding of one is taken for rows of another, and is missing there.
    pub(crate) fn ran(&mut self, rows: usize, waiting: usize, now: Instant) -> Answered {
        if self.since.is_some() {
            for (sum, count) in self.returned_sum.iter_mut().zip(&mut self.arrived) {
                *sum = MEMORY * *sum + f64::from(std::mem::take(count));
            }
            self.answered_sum = MEMORY * self.answered_sum + self.answered as f64;
        }
        let under_way = self.pending.saturating_sub(waiting);
        let has_batch_left = under_way > self.under_way;
        self.answered = under_way.min(rows);
        self.under_way = under_way - self.answered;
        self.pending -= self.answered;
        self.since = Some(now);
        Answered { rows: self.answered, has_batch_left }
    }

    /// Delays in seconds, ascending, with the share of the rows answered that comes back within each.
    pub(crate) fn by_delay(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let answered = self.answered_sum.max(1.0);
        let shares = self.returned_sum.iter().scan(0.0, move |sum, returned| {
            *sum += returned;
            Some((*sum / answered).min(1.0))
        });
        (0..DELAYS).map(longest_of).zip(shares)
    }
}

/// Which of the delays told apart this is.
fn place(delay: Duration) -> usize {
    let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX).max(1);
    let doublings = nanos.ilog2();
    match doublings.checked_sub(SHORTEST) {
        None => 0,
        Some(above) => 1 + 2 * above as usize + usize::from(nanos >> (doublings - 1) & 1 == 1),
    }
}

/// The end of a delay that is told apart, in seconds.
fn longest_of(place: usize) -> f64 {
    let start = 1e-9 * f64::from(1u32 << SHORTEST);
    let halves = place as i32;
    let whole = start * 2f64.powi(halves / 2);
    if halves % 2 == 0 { whole } else { 1.5 * whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_no_longer_than_the_end_of_its_place() {
        for micros in 1..100_000u64 {
            let place = place(Duration::from_micros(micros));
            let (from, to) = (longest_of(place.saturating_sub(1)), longest_of(place));
            let seconds = micros as f64 * 1e-6;
            assert!(seconds <= to && (place == 0 || seconds >= from), "{micros} us: {from} to {to}");
        }
    }

    #[test]
    fn the_share_that_comes_back_grows_with_the_delay() {
        let mut returns = Returns::default();
        let mut now = Instant::now();
        for _ in 0..50 {
            for client in 1..=10 {
                returns.arrived(1, now + Duration::from_micros(20 * client));
            }
            now += Duration::from_millis(5);
            assert_eq!(returns.ran(16, 0, now).rows, 10);
        }
        let share = |wait: f64| returns.by_delay().filter(|(delay, _)| *delay <= wait).last().unwrap().1;
        assert!(share(10e-6) < 0.01);
        assert!((0.3..0.7).contains(&share(110e-6)), "{}", share(110e-6));
        assert!(share(300e-6) > 0.99);
    }

    #[test]
    fn those_who_wait_are_not_taken_for_answered() {
        let mut returns = Returns::default();
        let now = Instant::now();
        returns.arrived(5, now);
        assert_eq!(returns.ran(4, 2, now).rows, 3);
        assert_eq!(returns.ran(2, 0, now).rows, 2);
        assert_eq!(returns.ran(8, 7, now).rows, 0);
    }

    #[test]
    fn of_two_runs_under_way_each_answers_its_own() {
        let mut returns = Returns::default();
        let now = Instant::now();
        returns.arrived(20, now);
        assert_eq!(returns.ran(12, 0, now), Answered { rows: 12, has_batch_left: true });
        returns.arrived(5, now);
        assert_eq!(returns.ran(8, 5, now), Answered { rows: 8, has_batch_left: false });
    }
}
