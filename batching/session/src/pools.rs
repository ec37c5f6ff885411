//! The pools of a server, by name.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use salver_batching_scheduler::{PoolOptions, Scheduler};
use salver_core_clock::{Clock, SystemClock};
use salver_core_status::{Quoted, Status};

use crate::SessionTask;

/// The pools of a server. Each is started when it is first asked for, and goes with the last who uses it. Thread-safe.
pub struct Pools {
    clock: Arc<dyn Clock>,
    started: Mutex<Vec<Weak<Scheduler<SessionTask>>>>,
}

impl Pools {
    /// No pools yet; those that are started go by `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, started: Mutex::default() }
    }

    /// The pool of that name. Its threads end when it is let go by all, and what its queues hold has run.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where there is one with other settings; those of [`Scheduler::start`].
    pub fn get(&self, options: &PoolOptions) -> Result<Arc<Scheduler<SessionTask>>, Status> {
        let mut started = self.started.lock();
        started.retain(|pool| pool.strong_count() > 0);
        let mut there = started.iter().filter_map(Weak::upgrade);
        if let Some(pool) = there.find(|pool| pool.options().name == options.name) {
            if pool.options() != options {
                return Err(Status::invalid_argument(format!(
                    "thread_pool_name is {}: that pool has other settings, {:?} in place of {options:?}",
                    Quoted(&options.name),
                    pool.options()
                )));
            }
            return Ok(pool);
        }
        let pool = Arc::new(Scheduler::start(options.clone(), Arc::clone(&self.clock))?);
        started.push(Arc::downgrade(&pool));
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
