//! Loads versions when they are first asked for, and evicts within a budget.

mod cache;
mod eviction;
mod failures;
mod meter;
mod room;

pub use eviction::Eviction;
pub use failures::BackOff;

#[cfg(test)]
mod tests;
