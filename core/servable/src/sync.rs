//! The primitives that handles and the event bus are built of: loom's when a model is checked, the standard library's
//! otherwise.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

// Loom's locks are poisoned as the standard library's are.
pub(crate) use std::sync::PoisonError;
