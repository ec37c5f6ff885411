//! How many runs go on at once, each with how many threads.

use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use salver_core_status::Status;

/// libtorch's numbers, which it has once for the process: set by the first model that is loaded.
static SET: OnceLock<Set> = OnceLock::new();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    intra_op: usize,
    inter_op: Option<usize>,
}

/// The processor budget, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Threads {
    budget: usize,
}

impl Threads {
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget: budget.max(1) }
    }

    /// Sets how many threads a run has, where that is not set yet.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where other numbers than these are set.
    pub(crate) fn set(&self, intra_op: Option<usize>, inter_op: Option<usize>) -> Result<(), Status> {
        let set = SET.get_or_init(|| {
            let set = Set { intra_op: intra_op.unwrap_or(self.budget), inter_op };
            tch::set_num_threads(i32::try_from(set.intra_op).unwrap_or(i32::MAX));
            if let Some(count) = inter_op {
                tch::set_num_interop_threads(i32::try_from(count).unwrap_or(i32::MAX));
            }
            TURNS.open((self.budget / set.intra_op).max(1));
            set
        });
        let refused = |name: &str, wanted: usize, set: String| {
            Err(Status::failed_precondition(format!(
                "option `{name}` is {wanted}, but libtorch has one number for the process, and it is {set} since the \
                 first model was loaded: set it with `--platform-option libtorch.{name}={wanted}`"
            )))
        };
        match (intra_op, inter_op) {
            (Some(wanted), _) if wanted != set.intra_op => {
                refused("intra_op_threads", wanted, set.intra_op.to_string())
            }
            (_, Some(wanted)) if inter_op != set.inter_op => {
                let set = set.inter_op.map_or("libtorch's own".to_owned(), |count| count.to_string());
                refused("inter_op_threads", wanted, set)
            }
            _ => Ok(()),
        }
    }
}

static TURNS: Turns = Turns { free: Mutex::new(0), freed: Condvar::new() };

/// So many runs at once.
struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Turns {
    fn open(&self, count: usize) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += count;
        self.freed.notify_all();
    }
}

/// A run's turn, until it is dropped.
pub(crate) struct Turn(());

impl Turn {
    /// Waits for a turn.
    pub(crate) fn take() -> Self {
        let free = TURNS.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            TURNS.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        TURNS.freed.notify_one();
    }
}
