//! End-to-end tests: the real binary, talked to by real clients.
