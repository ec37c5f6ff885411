//! Remembers the state of every servable version, and awaits states.
