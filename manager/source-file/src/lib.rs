//! Watches directories for model versions that appear and disappear.
