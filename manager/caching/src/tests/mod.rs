//! The cache alone, and the manager around it.

mod pure;
mod schedules;
