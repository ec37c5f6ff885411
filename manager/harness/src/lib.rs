//! The life of one servable version as a pure state machine.
