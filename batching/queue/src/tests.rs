//! What a queue promises, case by case and under random schedules.

mod batches;
mod fixture;
mod limits;
mod options;
mod priorities;
mod schedules;
mod sizes;
mod waiting;
