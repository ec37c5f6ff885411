//! Requests for models that are there and not loaded.

use std::fmt;
use std::time::{Duration, Instant};

use salver_core_servable::{Handle, LookupError, VersionChoice};
use salver_core_status::Status;
use tokio::sync::oneshot;

use crate::Served;

/// Loads versions that are asked for. Thread-safe.
pub trait OnDemand: Send + Sync + 'static {
    /// Wants a version to be loaded. Does not block: `done` is called with its handle, or why there is none; before this
    /// returns, or later on another thread. It is not called once the wish is dropped, which leaves the load alone.
    fn request(&self, name: &str, version: VersionChoice<'_>, done: Done) -> Wish;
}

/// Who is told how a wish was answered. Must return at once.
pub type Done = Box<dyn FnOnce(Result<Handle<Served>, NotLoaded>) + Send>;

/// Why a version was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotLoaded {
    /// There is no such version.
    Unknown(LookupError),
    /// It failed, now or a while ago.
    Failed(LookupError, Status),
}

/// A wish that waits to be answered. Dropping it takes it back.
pub struct Wish(Option<Box<dyn Send + Sync>>);

impl Wish {
    /// A wish that is taken back by dropping `ticket`.
    pub fn new(ticket: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(ticket)))
    }

    /// A wish that was answered.
    pub const fn answered() -> Self {
        Self(None)
    }
}

impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wish").field("is_waiting", &self.0.is_some()).finish()
    }
}

/// Why nobody waits any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// The request's deadline passed.
    Deadline,
    /// No request waits so long.
    Wait,
}

/// Waits until a version is loaded, as long as a request waits and until its deadline.
pub(crate) async fn load(
    on_demand: &dyn OnDemand,
    longest: Duration,
    name: &str,
    version: VersionChoice<'_>,
    deadline: Option<Instant>,
) -> Result<Result<Handle<Served>, NotLoaded>, Late> {
    let (sender, answer) = oneshot::channel();
    // Kept while there is something to wait for: a future that is dropped takes the wish back.
    let _wish = on_demand.request(name, version, Box::new(move |outcome| drop(sender.send(outcome))));
    let end = Instant::now().checked_add(longest);
    let (until, late) = match (deadline, end) {
        (Some(deadline), end) if end.is_none_or(|end| deadline <= end) => (Some(deadline), Late::Deadline),
        (_, end) => (end, Late::Wait),
    };
    let answered = match until {
        Some(until) => tokio::time::timeout_at(until.into(), answer).await.map_err(|_| late)?,
        None => answer.await,
    };
    let lost = |_| {
        let name = LookupError::Name(name.to_owned());
        Err(NotLoaded::Failed(name, Status::unavailable("nobody loads models any more")))
    };
    Ok(answered.unwrap_or_else(lost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    /// Keeps every wish until it is told to answer it.
    #[derive(Default)]
    struct Later {
        wishes: Mutex<Vec<Done>>,
        is_taken_back: Arc<AtomicBool>,
    }

    struct Ticket(Arc<AtomicBool>);

    impl Drop for Ticket {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    impl OnDemand for Later {
        fn request(&self, _name: &str, _version: VersionChoice<'_>, done: Done) -> Wish {
            self.wishes.lock().unwrap().push(done);
            Wish::new(Ticket(Arc::clone(&self.is_taken_back)))
        }
    }

    const LONGEST: Duration = Duration::from_secs(60);

    async fn late(deadline: Option<Instant>) -> Option<Late> {
        load(&Later::default(), LONGEST, "m", VersionChoice::Latest, deadline).await.err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_as_long_as_any_may_and_no_longer_than_its_deadline() {
        let now = Instant::now();
        assert_eq!(late(None).await, Some(Late::Wait));
        assert_eq!(late(now.checked_add(Duration::from_secs(1))).await, Some(Late::Deadline));
        assert_eq!(late(now.checked_add(Duration::from_secs(3600))).await, Some(Late::Wait));
    }

    #[tokio::test]
    async fn a_request_is_told_what_its_wish_is_answered_with() {
        let later = Arc::new(Later::default());
        let failed = NotLoaded::Failed(LookupError::Name("m".into()), Status::data_loss("torn"));
        let waits = {
            let later = Arc::clone(&later);
            tokio::spawn(async move { load(&*later, LONGEST, "m", VersionChoice::Latest, None).await })
        };
        let done = loop {
            tokio::task::yield_now().await;
            if let Some(done) = later.wishes.lock().unwrap().pop() {
                break done;
            }
        };
        done(Err(failed.clone()));
        assert_eq!(waits.await.unwrap().map(Result::err), Ok(Some(failed)));
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_takes_its_wish_back() {
        let later = Arc::new(Later::default());
        let waits = {
            let later = Arc::clone(&later);
            tokio::spawn(async move { load(&*later, LONGEST, "m", VersionChoice::Latest, None).await.err() })
        };
        while later.wishes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!later.is_taken_back.load(Ordering::SeqCst));
        waits.abort();
        assert!(waits.await.is_err());
        assert!(later.is_taken_back.load(Ordering::SeqCst));
    }
}
