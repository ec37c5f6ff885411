//! Where loaders come from.

use salver_core_loader::Loader;
use salver_core_servable::{HasPocket, ServableId, StreamName, Version};
use salver_core_status::Status;

/// Makes loaders for versions that are asked for.
///
/// Called on threads of the manager that are there for it, several at a time; may block, as a look into a directory does.
/// Never twice at a time for the same version, or for the same question.
pub trait LoaderFactory: Send + Sync + 'static {
    /// What it makes. In the pockets of its servables the manager notes how they are used: one that has none is to be
    /// wrapped in [`Cached`](crate::Cached).
    type Loader: Loader<Servable: HasPocket>;

    /// Which version is meant where none is named.
    ///
    /// # Errors
    /// Whatever prevents it, NOT_FOUND where there is no such stream. Whoever asks is given it, and for a while everybody
    /// else who asks.
    fn latest(&self, name: &StreamName) -> Result<Version, Status>;

    /// A loader for one version. Its estimate is asked for right after.
    ///
    /// # Errors
    /// As for [`LoaderFactory::latest`].
    fn loader(&self, id: &ServableId) -> Result<Self::Loader, Status>;
}
