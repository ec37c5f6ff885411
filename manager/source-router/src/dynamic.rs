//! A router whose routes may change while it runs.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::{Mutex, RwLock};
use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Target};
use salver_core_servable::StreamName;
use salver_core_status::{Quoted, Status};

use crate::router::{Route, Router};

/// Routes by name: a stream goes to the port that is given for it, else to the last one, the default.
///
/// It remembers the last set of each stream, so that a stream whose route changes moves at once: a source need not say
/// anything again, and many do not.
pub struct DynamicRouter<D> {
    router: Router<D, Names>,
    /// Held while the router is told anything.
    last: Mutex<BTreeMap<StreamName, Vec<Aspired<D>>>>,
}

/// The port of each stream that is not on the default one.
#[derive(Debug)]
struct Names {
    routes: RwLock<BTreeMap<StreamName, usize>>,
    default: usize,
}

impl Names {
    fn port(&self, stream: &StreamName) -> usize {
        self.routes.read().get(stream).copied().unwrap_or(self.default)
    }
}

impl<D> Route<D> for Names {
    fn route(&self, aspired: &AspiredVersions<D>) -> Option<usize> {
        Some(self.port(&aspired.stream))
    }
}

impl<D: Clone + Send + 'static> DynamicRouter<D> {
    /// A router with these routes and targets; the last target is the default one.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: there is no target, or a route leads to a port that there is not, or to the last one: what goes
    /// there is what has no route.
    pub fn new(routes: BTreeMap<StreamName, usize>, targets: Vec<SharedTarget<D>>) -> Result<Self, Status> {
        let Some(default) = targets.len().checked_sub(1) else {
            return Err(Status::invalid_argument("a router needs at least one target, the default one"));
        };
        check(&routes, default)?;
        let names = Names { routes: RwLock::new(routes), default };
        Ok(Self { router: Router::new(names, targets), last: Mutex::default() })
    }

    /// Puts these routes in place of all there were. Streams whose route changes have moved when this returns; the
    /// others hear nothing.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, as for [`DynamicRouter::new`]; nothing has changed then.
    pub fn update(&self, routes: BTreeMap<StreamName, usize>) -> Result<(), Status> {
        let last = self.last.lock();
        let names = self.router.route();
        check(&routes, names.default)?;
        *names.routes.write() = routes;
        for (stream, versions) in &*last {
            if self.router.port(stream.as_str()) != Some(names.port(stream)) {
                let (stream, versions) = (stream.clone(), Ok(versions.clone()));
                self.router.set_aspired(AspiredVersions { stream, versions });
            }
        }
        Ok(())
    }

    /// The routes that are in place.
    pub fn routes(&self) -> BTreeMap<StreamName, usize> {
        self.router.route().routes.read().clone()
    }
}

/// Checks that every route leads to a port before the default one.
fn check(routes: &BTreeMap<StreamName, usize>, default: usize) -> Result<(), Status> {
    match routes.iter().find(|(_, port)| **port >= default) {
        None => Ok(()),
        Some((stream, port)) => Err(Status::invalid_argument(format!(
            "route of {} leads to port {port}, wanted one below {default}, which is the default",
            Quoted(stream.as_str())
        ))),
    }
}

impl<D: Clone + Send + 'static> Target<D> for DynamicRouter<D> {
    fn set_aspired(&self, aspired: AspiredVersions<D>) {
        let mut last = self.last.lock();
        match &aspired.versions {
            Ok(versions) if versions.is_empty() => {
                last.remove(&aspired.stream);
            }
            Ok(versions) => {
                last.insert(aspired.stream.clone(), versions.clone());
            }
            Err(_) => {}
        }
        self.router.set_aspired(aspired);
    }
}

impl<D> fmt::Debug for DynamicRouter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicRouter").field("router", &self.router).finish_non_exhaustive()
    }
}
