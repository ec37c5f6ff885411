//! Reconciles the versions that should be loaded with those that are.
