//! What a batch costs by its size.

use std::time::Duration;

/// What a run took, by the number of rows it had: a forgetting mean for each size seen.
#[derive(Clone, Debug, Default)]
pub struct CostModel {
    by_size: std::collections::BTreeMap<usize, f64>,
}

impl CostModel {
    /// Takes in one run of `rows` rows (padding counted).
    pub fn note(&mut self, rows: usize, took: Duration) {
        const MEMORY: f64 = 0.2;
        let took = took.as_secs_f64();
        self.by_size.entry(rows).and_modify(|mean| *mean += MEMORY * (took - *mean)).or_insert(took);
    }

    /// What a run of `rows` rows takes; `None` where none was measured.
    pub fn cost(&self, rows: usize) -> Option<Duration> {
        self.by_size.get(&rows).map(|seconds| Duration::from_secs_f64(*seconds))
    }
}
