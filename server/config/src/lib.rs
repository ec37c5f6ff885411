//! Command line and model settings, read into validated configuration.
