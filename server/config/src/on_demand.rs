//! When versions are loaded.

use std::time::Duration;

use clap::ValueEnum;

/// When versions are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LoadMode {
    /// All that there should be, at once
    Eager,
    /// Each when it is first asked for
    OnDemand,
}

/// Which versions make room for others first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Eviction {
    /// Those that were used longest ago
    Lru,
    /// Those that are large, quick to load and seldom used
    CostAware,
}

/// How versions are loaded when they are first asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDemand {
    /// How much memory all versions that are loaded may take together; `None` for what models may take anyway.
    pub memory_bytes: Option<u64>,
    /// Which versions make room first.
    pub eviction: Eviction,
    /// How long a request waits for its model.
    pub wait: Duration,
}
