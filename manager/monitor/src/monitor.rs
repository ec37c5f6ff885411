//! The states behind a lock, and waiting for them to change.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use salver_core_servable::{StateEvent, StateObserver, StreamName};

use crate::{Limits, States, StreamStatus, VersionStatus};

/// Remembers what a manager reports. Thread-safe.
#[derive(Debug)]
pub struct Monitor {
    states: Mutex<States>,
    changed: Condvar,
}

impl Monitor {
    /// A monitor that has heard of nothing.
    pub fn new(limits: Limits) -> Self {
        Self { states: Mutex::new(States::new(limits)), changed: Condvar::new() }
    }

    /// The versions of a stream, newest first; `None` where the stream is unknown.
    pub fn versions(&self, name: &str) -> Option<Vec<VersionStatus>> {
        self.read(|states| states.stream(name).map(|stream| stream.versions.clone()))
    }

    /// All that is known of a stream; `None` where it is unknown.
    pub fn stream(&self, name: &str) -> Option<StreamStatus> {
        self.read(|states| states.stream(name).cloned())
    }

    /// The names of all streams known, in order.
    pub fn streams(&self) -> Vec<StreamName> {
        self.read(|states| states.streams().map(|(name, _)| name.clone()).collect())
    }

    /// Whether any version of the stream answers requests.
    pub fn is_available(&self, name: &str) -> bool {
        self.read(|states| states.stream(name).is_some_and(StreamStatus::is_available))
    }

    /// Looks at everything at one moment. The manager waits meanwhile: `look` should be brief, and must not call the
    /// monitor.
    pub fn read<R>(&self, look: impl FnOnce(&States) -> R) -> R {
        look(&self.states.lock())
    }

    /// Blocks until `reached` says so, and returns true; or until the deadline, and returns false.
    ///
    /// `reached` is asked at once and after every event, under the same rules as [`Monitor::read`].
    pub fn wait_until(&self, mut reached: impl FnMut(&States) -> bool, deadline: Instant) -> bool {
        let mut states = self.states.lock();
        loop {
            if reached(&states) {
                return true;
            }
            if self.changed.wait_until(&mut states, deadline).timed_out() {
                return reached(&states);
            }
        }
    }

    /// Blocks until each of these streams is known and [settled](StreamStatus::is_settled), and returns true; or until
    /// the deadline, and returns false. Settled is not the same as available: a version that failed has ended.
    pub fn wait_until_settled(&self, names: &[StreamName], deadline: Instant) -> bool {
        let is_settled = |states: &States, name: &StreamName| {
            states.stream(name.as_str()).is_some_and(StreamStatus::is_settled)
        };
        self.wait_until(|states| names.iter().all(|name| is_settled(states, name)), deadline)
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl StateObserver for Monitor {
    fn observe(&self, event: StateEvent) {
        self.states.lock().apply(event);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use ServableState::{Available, End, Loading, Start, Unloading};
    use salver_core_servable::{ServableId, ServableState, Version};
    use salver_core_status::Status;

    fn event(name: &str, number: i64, state: ServableState, error: Option<Status>) -> StateEvent {
        let id = ServableId::new(name, Version::new(number).unwrap());
        StateEvent::Version { id, state, error, at: SystemTime::UNIX_EPOCH }
    }

    fn tell(monitor: &Monitor, name: &str, states: &[(i64, ServableState)]) {
        for (number, state) in states {
            monitor.observe(event(name, *number, *state, None));
        }
    }

    fn shown(monitor: &Monitor, name: &str) -> Vec<(i64, ServableState)> {
        let versions = monitor.versions(name).unwrap();
        versions.iter().map(|version| (version.version.number(), version.state)).collect()
    }

    fn past() -> Instant {
        Instant::now()
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn versions_are_shown_newest_first_at_the_state_heard_of_last() {
        let monitor = Monitor::default();
        tell(&monitor, "m", &[(9, Start), (10, Start), (2, Available), (9, Loading)]);
        assert_eq!(shown(&monitor, "m"), [(10, Start), (9, Loading), (2, Available)]);
        assert!(monitor.versions("n").is_none());
        assert_eq!(monitor.streams(), [StreamName::from("m")]);
    }

    #[test]
    fn a_stream_is_available_while_one_of_its_versions_is() {
        let monitor = Monitor::default();
        tell(&monitor, "m", &[(1, Loading)]);
        assert!(!monitor.is_available("m"));
        tell(&monitor, "m", &[(1, Available), (2, End)]);
        assert!(monitor.is_available("m"));
        tell(&monitor, "m", &[(1, Unloading)]);
        assert!(!monitor.is_available("m"));
    }

    #[test]
    fn why_a_version_failed_is_kept_until_it_starts_again() {
        let monitor = Monitor::default();
        let lost = Status::data_loss("lost");
        monitor.observe(event("m", 1, End, Some(lost.clone())));
        assert_eq!(monitor.versions("m").unwrap()[0].error, Some(lost));
        tell(&monitor, "m", &[(1, Start)]);
        assert_eq!(monitor.versions("m").unwrap()[0].error, None);
    }

    #[test]
    fn only_the_versions_that_ended_last_are_kept() {
        let monitor = Monitor::new(Limits { ended_versions_per_stream: 2, ..Limits::default() });
        tell(&monitor, "m", &[(0, Available), (4, End), (3, End), (2, End), (1, Loading)]);
        assert_eq!(shown(&monitor, "m"), [(3, End), (2, End), (1, Loading), (0, Available)]);
    }

    #[test]
    fn past_the_limit_streams_that_are_over_are_forgotten_the_clean_and_the_oldest_first() {
        let monitor = Monitor::new(Limits { streams: 2, ..Limits::default() });
        let forgets = |name: &str| {
            let known = monitor.streams().contains(&name.into());
            tell(&monitor, &format!("instead of {name}"), &[(1, End)]);
            known && !monitor.streams().contains(&name.into())
        };
        monitor.observe(event("failed", 1, End, Some(Status::internal("x"))));
        tell(&monitor, "first", &[(1, End)]);
        assert!(forgets("first"));
        assert!(forgets("instead of first"));
        tell(&monitor, "live", &[(1, Available)]);
        tell(&monitor, "other", &[(1, Available)]);
        assert_eq!(monitor.streams(), ["live".into(), "other".into()]);
        tell(&monitor, "third", &[(1, Available)]);
        assert_eq!(monitor.streams().len(), 3, "what is not over is never forgotten");
    }

    #[test]
    fn trouble_with_a_stream_is_shown_until_it_is_over_and_hides_no_version() {
        let monitor = Monitor::default();
        tell(&monitor, "m", &[(1, Available)]);
        let error = Some(Status::not_found("no directory"));
        monitor.observe(StateEvent::Stream { name: "m".into(), error: error.clone() });
        assert_eq!(monitor.stream("m").unwrap().error, error);
        assert!(monitor.is_available("m"));
        monitor.observe(StateEvent::Stream { name: "m".into(), error: None });
        assert_eq!(monitor.stream("m").unwrap().error, None);
    }

    #[test]
    fn waiting_ends_when_every_stream_is_settled() {
        let monitor = Arc::new(Monitor::default());
        let names = ["a".into(), "b".into(), "c".into()];
        assert!(monitor.wait_until_settled(&[], past()));
        tell(&monitor, "a", &[(1, Available), (2, Loading)]);
        monitor.observe(StateEvent::Stream { name: "c".into(), error: Some(Status::not_found("x")) });
        let waiter = {
            let (monitor, names) = (Arc::clone(&monitor), names.clone());
            std::thread::spawn(move || monitor.wait_until_settled(&names, far()))
        };
        tell(&monitor, "a", &[(2, End)]);
        assert!(!monitor.wait_until_settled(&names, past()), "nothing is heard of b yet");
        tell(&monitor, "b", &[(1, Available)]);
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let monitor = Monitor::default();
        tell(&monitor, "m", &[(1, Loading)]);
        assert!(!monitor.wait_until_settled(&["m".into()], past()));
    }
}
