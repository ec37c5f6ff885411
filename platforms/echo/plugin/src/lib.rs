//! The echo platform as a plugin library.
