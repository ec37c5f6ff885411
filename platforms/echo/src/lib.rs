//! A platform whose models return their inputs, for tests and load.
