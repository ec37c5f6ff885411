//! The pools of a server, by name.

use std::sync::Arc;

use parking_lot::Mutex;
use salver_batching_scheduler::{PoolOptions, Scheduler};
use salver_core_clock::SystemClock;
use salver_core_status::Status;

use crate::SessionTask;

/// The pools of a server, each started when it is first asked for. Thread-safe.
#[derive(Default)]
pub struct Pools {
    started: Mutex<Vec<Scheduler<SessionTask>>>,
}

impl Pools {
    /// The pool of that name.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where there is one with other settings; those of [`Scheduler::start`].
    pub fn get(&self, options: &PoolOptions) -> Result<Scheduler<SessionTask>, Status> {
        let mut started = self.started.lock();
        if let Some(pool) = started.iter().find(|pool| pool.options().name == options.name) {
            return Ok(pool.clone());
        }
        let pool = Scheduler::start(options.clone(), Arc::new(SystemClock))?;
        started.push(pool.clone());
        Ok(pool)
    }
}
