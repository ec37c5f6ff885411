//! The map from a servable's name and version to a handle, read without waiting.
