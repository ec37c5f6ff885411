//! The cache alone, and the manager around it.

mod behaviour;
mod pure;
mod schedules;
