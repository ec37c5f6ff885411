//! The pools of a server, by name.

use std::sync::Arc;

use parking_lot::Mutex;
use salver_batching_scheduler::{PoolOptions, Scheduler};
use salver_core_clock::{Clock, SystemClock};
use salver_core_status::{Quoted, Status};

use crate::SessionTask;

/// The pools of a server, each started when it is first asked for. Thread-safe.
pub struct Pools {
    clock: Arc<dyn Clock>,
    started: Mutex<Vec<Scheduler<SessionTask>>>,
}

impl Pools {
    /// No pools yet; those that are started go by `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, started: Mutex::default() }
    }

    /// The pool of that name.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where there is one with other settings; those of [`Scheduler::start`].
    pub fn get(&self, options: &PoolOptions) -> Result<Scheduler<SessionTask>, Status> {
        let mut started = self.started.lock();
        if let Some(pool) = started.iter().find(|pool| pool.options().name == options.name) {
            if pool.options() != options {
                return Err(Status::invalid_argument(format!(
                    "thread_pool_name is {}: that pool has other settings, {:?} in place of {options:?}",
                    Quoted(&options.name),
                    pool.options()
                )));
            }
            return Ok(pool.clone());
        }
        let pool = Scheduler::start(options.clone(), Arc::clone(&self.clock))?;
        started.push(pool.clone());
        Ok(pool)
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

/// By the operating system's clock.
impl Default for Pools {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}
