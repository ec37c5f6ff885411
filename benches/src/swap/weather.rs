//! What other programs do meanwhile, and rounds that they spoil.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::figures::Rounds;
use crate::process::{Server, cpu_time};

/// So many cores may be kept busy by others in a round that counts.
const CALM: f64 = 0.1;
/// So many rounds are looked for that count, and so many tried.
const ROUNDS: usize = 5;
const TRIES: usize = 12;

/// A look at the clocks.
pub(super) struct Weather<'a> {
    server: Option<&'a Server>,
    at: Instant,
    others: Duration,
}

impl<'a> Weather<'a> {
    /// Begins to watch; what this program and `server` do is not others' doing.
    pub(super) fn watch(server: Option<&'a Server>) -> anyhow::Result<Self> {
        Ok(Self { server, at: Instant::now(), others: others(server)? })
    }

    /// How many cores others have kept busy since.
    pub(super) fn cores(&self) -> anyhow::Result<f64> {
        let others = others(self.server)?.saturating_sub(self.others);
        Ok(others.as_secs_f64() / self.at.elapsed().as_secs_f64())
    }
}

/// The processors' time that others have used, so far.
///
/// What a process has used that has ended is its parent's, so that nothing is lost. The sums in `/proc/stat` would not
/// do: they go by who runs when a clock ticks, and miss half of what runs briefly after each tick.
fn others(server: Option<&Server>) -> anyhow::Result<Duration> {
    let mut others = Duration::ZERO;
    for entry in fs::read_dir("/proc").context("reading /proc")? {
        let id = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        // One that ends meanwhile is its parent's.
        others += id.and_then(|id| cpu_time(id).ok()).unwrap_or_default();
    }
    let own = cpu_time(std::process::id())?;
    let servers = server.map_or(Ok(Duration::ZERO), Server::cpu_time)?;
    Ok(others.saturating_sub(own + servers))
}

/// What rounds found, and in what weather.
pub(super) struct Tries<T>(Vec<(f64, T)>);

impl<T> Tries<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether no further round is worth its while.
    pub(super) fn are_enough(&self) -> bool {
        let calm = self.0.iter().filter(|(cores, _)| *cores <= CALM).count();
        calm >= ROUNDS || self.0.len() >= TRIES
    }

    pub(super) fn push(&mut self, cores: f64, found: T) {
        self.0.push((cores, found));
    }

    /// The rounds that count: those in which others did least.
    pub(super) fn conclude(mut self) -> (Vec<T>, Rounds) {
        self.0.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        self.0.truncate(ROUNDS);
        let cores = self.0.iter().map(|(cores, _)| *cores).collect();
        (self.0.into_iter().map(|(_, found)| found).collect(), cores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calmest_rounds_count_and_tries_end_when_there_are_enough() {
        let mut tries = Tries::new();
        for (cores, found) in [(0.0, 'a'), (2.0, 'b'), (0.05, 'c'), (0.01, 'd'), (0.02, 'e')] {
            assert!(!tries.are_enough());
            tries.push(cores, found);
        }
        assert!(!tries.are_enough(), "four are calm");
        tries.push(0.1, 'f');
        assert!(tries.are_enough());
        let (found, cores) = tries.conclude();
        assert_eq!((found, cores.median()), (vec!['a', 'd', 'e', 'c', 'f'], 0.02));
    }
}
