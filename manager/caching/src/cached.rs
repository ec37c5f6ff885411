//! A loader and a servable, each with the meter of its version.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use salver_core_loader::{LoadContext, Loader};
use salver_core_resource::{Allocation, Estimate};
use salver_core_servable::{HasPocket, Pocket, ServableId};
use salver_core_status::Status;

use crate::entry::Size;
use crate::meter::Meter;

/// A servable that has no [`Pocket`] of its own, and one.
#[derive(Default)]
pub struct Cached<T> {
    servable: T,
    pocket: Pocket,
}

/// How many bytes of the budget an allocation counts for.
pub(crate) type Weigh = fn(&Allocation) -> u64;

/// A loader that was made, and what it says it will take.
pub(crate) struct Made<L> {
    loader: L,
    estimate: Estimate,
}

/// A loader whose servable is measured, in both senses.
pub(crate) struct Metered<L> {
    loader: L,
    /// The estimate that was made already, for the first attempt.
    estimate: Option<Estimate>,
    meter: Arc<Meter>,
    weigh: Weigh,
}

impl<L: Loader> Made<L> {
    /// Asks a loader for its estimate.
    pub(crate) fn new(id: &ServableId, mut loader: L, weigh: Weigh) -> Result<(Self, Size), Status> {
        let estimate = loader.estimate(id)?;
        let size = Size { loading: weigh(&estimate.loading), loaded: weigh(&estimate.loaded) };
        Ok((Self { loader, estimate }, size))
    }

    pub(crate) fn metered(self, meter: Arc<Meter>, weigh: Weigh) -> Metered<L> {
        Metered { loader: self.loader, estimate: Some(self.estimate), meter, weigh }
    }
}

impl<L: Loader<Servable: HasPocket>> Loader for Metered<L> {
    type Servable = L::Servable;

    fn estimate(&mut self, id: &ServableId) -> Result<Estimate, Status> {
        self.estimate.take().map_or_else(|| self.loader.estimate(id), Ok)
    }

    fn load(&mut self, context: &LoadContext<'_>) -> Result<Self::Servable, Status> {
        let servable = self.loader.load(context)?;
        if !servable.pocket().fill(Arc::clone(&self.meter)) {
            tracing::warn!(id = %context.id, "the servable was served before; its uses are not counted");
        }
        Ok(servable)
    }

    fn measure(&self, servable: &Self::Servable) -> Option<Allocation> {
        let measured = self.loader.measure(servable)?;
        self.meter.measure((self.weigh)(&measured));
        Some(measured)
    }

    fn unload(&mut self, servable: Self::Servable) {
        self.loader.unload(servable);
    }
}

impl<T> Cached<T> {
    /// Gives a servable a pocket.
    pub const fn new(servable: T) -> Self {
        Self { servable, pocket: Pocket::new() }
    }
}

impl<T> HasPocket for Cached<T> {
    fn pocket(&self) -> &Pocket {
        &self.pocket
    }
}

impl<T> Deref for Cached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.servable
    }
}

impl<T: fmt::Debug> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.servable.fmt(f)
    }
}
