//! What a queue promises, case by case and under random schedules.

mod fixture;

mod schedules;
