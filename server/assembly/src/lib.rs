//! Builds sources, manager and platforms from a configuration.
