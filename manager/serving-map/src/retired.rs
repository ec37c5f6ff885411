//! Values that were replaced and that a reader may still be looking at.

use crate::sync::Arc;

/// What was taken out of an [`ArcSwap`](crate::sync::ArcSwap), kept until nobody reads it, so that no reader is the
/// one to free it.
///
/// A swap settles every reader's borrow before it returns, so that from then on the count of references is exact and
/// can only fall: where it shows no other, there is none.
pub(crate) struct Retired<T>(Vec<Arc<T>>);

impl<T> Retired<T> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps what a swap returned, and frees those that nobody reads any more.
    pub(crate) fn push(&mut self, replaced: Arc<T>) {
        self.0.push(replaced);
        self.0.retain(|kept| Arc::strong_count(kept) > 1);
    }

    #[cfg(all(test, loom))]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
