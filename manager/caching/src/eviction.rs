//! Which versions go so that another fits, as a pure function.

use std::sync::Arc;
use std::time::Duration;

use salver_core_servable::ServableId;

use crate::meter::{Meter, Tick};

/// Which versions are evicted first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eviction {
    /// Those whose last use is longest ago.
    #[default]
    LeastRecentlyUsed,
    /// Those that are cheap to load again for the room they take, and little used: GreedyDual-Size-Frequency (Cherkasova,
    /// "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy", HP Labs HPL-98-69R1, 1998),
    /// in which the cost is the time that the load took.
    CostAware,
}

/// How a loaded version stands among those that could go.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) meter: Arc<Meter>,
    pub(crate) bytes: u64,
    /// How long it took to load.
    pub(crate) cost: Duration,
    /// The paper's `H`, and the number of uses it was computed for.
    value: f64,
    valued_at: u64,
}

/// Ranks versions. Keeps what the cost-aware policy must remember from one eviction to the next.
#[derive(Debug)]
pub(crate) struct Ranking {
    eviction: Eviction,
    /// The paper's `L`, the value of the last version evicted: what has not been used since is worth less than what
    /// comes now.
    inflation: f64,
}

impl Standing {
    pub(crate) fn new(meter: Arc<Meter>, bytes: u64, cost: Duration) -> Self {
        Self { meter, bytes, cost, value: 0.0, valued_at: 0 }
    }
}

impl Ranking {
    pub(crate) fn new(eviction: Eviction) -> Self {
        Self { eviction, inflation: 0.0 }
    }

    /// Those to evict so that at least `wanted` bytes become free: first come those of least worth, and none goes in
    /// vain. All that take room, where they do not suffice.
    pub(crate) fn choose<'a>(
        &mut self,
        candidates: impl Iterator<Item = (&'a ServableId, &'a mut Standing)>,
        wanted: u64,
    ) -> Vec<ServableId> {
        // The paper values a version at each of its uses. `L` moves only here, so it is the same to do that now, for
        // those used since the last time.
        let mut ranked: Vec<_> = candidates
            .filter(|(_, standing)| standing.bytes > 0)
            .map(|(id, standing)| (self.rank(standing), id, standing))
            .collect();
        ranked.sort_by(|(one, one_id, _), (other, other_id, _)| {
            one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)).then_with(|| one_id.cmp(other_id))
        });
        let mut freed: u64 = 0;
        let enough = ranked.iter().position(|(_, _, standing)| {
            freed = freed.saturating_add(standing.bytes);
            freed >= wanted
        });
        ranked.truncate(enough.map_or(ranked.len(), |last| last.saturating_add(1)));

        let mut chosen = Vec::new();
        for ((value, _), id, standing) in ranked.into_iter().rev() {
            let rest = freed.saturating_sub(standing.bytes);
            if rest >= wanted {
                // Something of less worth was chosen before, and with what came later suffices without this.
                freed = rest;
            } else {
                self.inflation = self.inflation.max(value);
                chosen.push(id.clone());
            }
        }
        chosen.reverse();
        chosen
    }

    /// What a version is worth; of two that are worth the same, the one used last is kept.
    fn rank(&self, standing: &mut Standing) -> (f64, Tick) {
        let last = standing.meter.last();
        match self.eviction {
            Eviction::LeastRecentlyUsed => (0.0, last),
            Eviction::CostAware => {
                let uses = standing.meter.uses();
                if standing.valued_at != uses {
                    #[expect(clippy::cast_precision_loss, reason = "a rank need not be exact")]
                    let per_byte = uses as f64 * standing.cost.as_secs_f64() / standing.bytes as f64;
                    (standing.value, standing.valued_at) = (self.inflation + per_byte, uses);
                }
                (standing.value, last)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_servable::Version;
    use std::collections::BTreeMap;
    use std::time::Instant;

    fn id(name: &str) -> ServableId {
        ServableId::new(name, Version::new(1).unwrap())
    }

    fn tick(millis: u64) -> Tick {
        let now = Instant::now();
        Tick::of(now + Duration::from_millis(millis), now)
    }

    /// Versions given as name, bytes, cost in seconds, and the milliseconds in which they are used.
    fn standings(versions: &[(&str, u64, u64, &[u64])]) -> BTreeMap<ServableId, Standing> {
        let one = |(name, bytes, cost, uses): &(&str, u64, u64, &[u64])| {
            let meter = Arc::new(Meter::new(tick(uses[0])));
            uses.iter().for_each(|at| meter.touch(tick(*at)));
            (id(name), Standing::new(meter, *bytes, Duration::from_secs(*cost)))
        };
        versions.iter().map(one).collect()
    }

    fn check(
        ranking: &mut Ranking,
        standings: &mut BTreeMap<ServableId, Standing>,
        wanted: u64,
        expected: &[&str],
    ) {
        let chosen = ranking.choose(standings.iter_mut(), wanted);
        assert_eq!(chosen, expected.iter().map(|name| id(name)).collect::<Vec<_>>());
        chosen.iter().for_each(|id| drop(standings.remove(id)));
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_whatever_it_cost() {
        let mut versions = standings(&[("a", 5, 900, &[2]), ("b", 5, 1, &[1, 3]), ("c", 5, 1, &[4])]);
        let mut ranking = Ranking::new(Eviction::LeastRecentlyUsed);
        check(&mut ranking, &mut versions, 1, &["a"]);
        check(&mut ranking, &mut versions, 6, &["b", "c"]);
        check(&mut ranking, &mut versions, 1, &[]);
    }

    #[test]
    fn none_goes_in_vain() {
        let mut versions = standings(&[("a", 1, 1, &[1]), ("b", 0, 1, &[2]), ("c", 9, 1, &[3])]);
        check(&mut Ranking::new(Eviction::LeastRecentlyUsed), &mut versions, 9, &["c"]);
        check(&mut Ranking::new(Eviction::LeastRecentlyUsed), &mut versions, 9, &["a"]);
    }

    #[test]
    fn what_is_cheap_to_load_again_large_or_little_used_goes_first_by_cost() {
        let mut versions = standings(&[
            ("cheap", 10, 1, &[1, 2]),
            ("dear", 10, 9, &[1]),
            ("large", 90, 9, &[1]),
            ("liked", 10, 1, &[1, 2, 3, 4, 5]),
        ]);
        let mut ranking = Ranking::new(Eviction::CostAware);
        for expected in ["large", "cheap", "liked", "dear"] {
            check(&mut ranking, &mut versions, 1, &[expected]);
        }
    }

    #[test]
    fn what_was_dear_but_is_not_used_any_more_goes_in_the_end() {
        let mut ranking = Ranking::new(Eviction::CostAware);
        let mut versions = standings(&[("dear", 1, 3, &[1])]);
        // Each newcomer begins at what the last one evicted was worth, until that is more than the dear one is.
        for (round, expected) in ["new", "new", "dear"].into_iter().enumerate() {
            versions.extend(standings(&[("new", 1, 1, &[2 + round as u64])]));
            check(&mut ranking, &mut versions, 1, &[expected]);
        }
        assert!(versions.contains_key(&id("new")));
    }
}
