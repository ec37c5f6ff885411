//! Which version of a stream to load or unload next, as a pure function.
