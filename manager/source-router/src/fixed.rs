//! A router whose routes never change.

use std::fmt;

use salver_core_loader::{AspiredVersions, SharedTarget, Target};
use salver_core_status::Status;

use crate::router::{Route, Router};

/// Routes by parts of names: a stream goes to the port of the first part that its name contains, else to the last port.
pub struct StaticRouter<D>(Router<D, Parts>);

/// The part for each port but the last.
#[derive(Debug)]
struct Parts(Vec<String>);

impl<D> Route<D> for Parts {
    fn route(&self, aspired: &AspiredVersions<D>) -> Option<usize> {
        let name = aspired.stream.as_str();
        let first = self.0.iter().position(|part| name.contains(part.as_str()));
        Some(first.unwrap_or(self.0.len()))
    }
}

impl<D: 'static> StaticRouter<D> {
    /// A router with a port for each of `parts`, and a last one for what contains none of them. Every name contains the
    /// empty part.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: there is not exactly one target more than there are parts.
    pub fn new(parts: Vec<String>, targets: Vec<SharedTarget<D>>) -> Result<Self, Status> {
        if targets.len() != parts.len().saturating_add(1) {
            let (n_targets, n_parts) = (targets.len(), parts.len());
            let message = format!("{n_parts} parts of names want one target more, not {n_targets}");
            return Err(Status::invalid_argument(message));
        }
        Ok(Self(Router::new(Parts(parts), targets)))
    }
}

impl<D: 'static> Target<D> for StaticRouter<D> {
    fn set_aspired(&self, aspired: AspiredVersions<D>) {
        self.0.set_aspired(aspired);
    }
}

impl<D> fmt::Debug for StaticRouter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StaticRouter").field(&self.0).finish()
    }
}
