//! The router itself: who is behind which port, and what is said when that changes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use salver_core_loader::{AspiredVersions, SharedTarget, Target};
use salver_core_servable::StreamName;
use salver_core_status::Quoted;

/// Says where a stream goes.
///
/// Asked once for each set that arrives, unless it is empty or the source's trouble and the stream is behind a port
/// already. Must return at once, and must not call the router.
pub trait Route<D>: Send + Sync + 'static {
    /// The port, counted from 0 in the order of the router's targets; `None`, or one that there is not: nowhere.
    fn route(&self, aspired: &AspiredVersions<D>) -> Option<usize>;
}

impl<D, F> Route<D> for F
where
    F: Fn(&AspiredVersions<D>) -> Option<usize> + Send + Sync + 'static,
{
    fn route(&self, aspired: &AspiredVersions<D>) -> Option<usize> {
        self(aspired)
    }
}

/// A target that passes each stream on to one of several.
///
/// Thread-safe. Calls are passed on one at a time, in the order in which they came; a target behind it must not call
/// the router.
pub struct Router<D, R> {
    route: R,
    targets: Vec<SharedTarget<D>>,
    ports: Mutex<BTreeMap<StreamName, usize>>,
    discarded: AtomicU64,
}

impl<D: 'static, R: Route<D>> Router<D, R> {
    /// Puts `route` before `targets`, each behind the port of its index.
    pub fn new(route: R, targets: Vec<SharedTarget<D>>) -> Self {
        Self { route, targets, ports: Mutex::default(), discarded: AtomicU64::new(0) }
    }

    /// The port that a stream is behind; `None` where it is nowhere.
    pub fn port(&self, stream: &str) -> Option<usize> {
        self.ports.lock().get(stream).copied()
    }

    /// How many sets went nowhere.
    pub fn discarded(&self) -> u64 {
        self.discarded.load(Ordering::Relaxed)
    }

    pub(crate) fn route(&self) -> &R {
        &self.route
    }

    /// The port that a set is to go to, and its target.
    fn find(&self, aspired: &AspiredVersions<D>) -> Option<(usize, &SharedTarget<D>)> {
        let port = self.route.route(aspired);
        let found = port.and_then(|port| Some((port, self.targets.get(port)?)));
        if found.is_none() && self.discarded.fetch_add(1, Ordering::Relaxed) == 0 {
            let stream = Quoted(aspired.stream.as_str());
            tracing::warn!(%stream, ?port, "stream goes nowhere, and others may; this is said once");
        }
        found
    }
}

impl<D: 'static, R: Route<D>> Target<D> for Router<D, R> {
    fn set_aspired(&self, aspired: AspiredVersions<D>) {
        // Held while targets are told, so that what is said of one stream arrives in the order of the calls.
        let mut ports = self.ports.lock();
        let stream = aspired.stream.clone();
        let old = ports.get(&stream).and_then(|port| Some((*port, self.targets.get(*port)?)));
        let is_empty = matches!(&aspired.versions, Ok(versions) if versions.is_empty());
        let new = match old {
            Some(old) if is_empty || aspired.versions.is_err() => Some(old),
            _ => self.find(&aspired),
        };
        if let Some((port, target)) = old
            && new.is_none_or(|(moved_to, _)| moved_to != port)
        {
            target.set_aspired(AspiredVersions { stream: stream.clone(), versions: Ok(Vec::new()) });
        }
        match new {
            Some((port, _)) if !is_empty => ports.insert(stream, port),
            _ => ports.remove(&stream),
        };
        if let Some((_, target)) = new {
            target.set_aspired(aspired);
        }
    }
}

impl<D, R: fmt::Debug> fmt::Debug for Router<D, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("route", &self.route)
            .field("n_targets", &self.targets.len())
            .finish_non_exhaustive()
    }
}
