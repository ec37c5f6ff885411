//! A place in a servable for what its manager notes of it.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

/// Where the manager that holds a servable keeps something of its own, such as how it is used. Filled once, if at all.
#[derive(Default)]
pub struct Pocket(OnceLock<Box<dyn Any + Send + Sync>>);

/// A servable with a [`Pocket`], as some managers want it: what leads to the servable then leads to their notes too.
pub trait HasPocket {
    /// The pocket, the same one every time.
    fn pocket(&self) -> &Pocket;
}

impl Pocket {
    /// An empty pocket.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Puts something in, and returns true; or finds something there already, and returns false.
    pub fn fill<T: Send + Sync + 'static>(&self, content: T) -> bool {
        self.0.set(Box::new(content)).is_ok()
    }

    /// What is in it, where that is a `T`. Wait-free.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get()?.downcast_ref()
    }
}

impl fmt::Debug for Pocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pocket").field("is_filled", &self.0.get().is_some()).finish()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_first_is_found_by_who_knows_what_it_is() {
        let pocket = Pocket::new();
        assert_eq!(pocket.get::<u8>(), None);
        assert!(pocket.fill(7_u8));
        assert!(!pocket.fill(8_u8));
        assert_eq!((pocket.get::<u8>(), pocket.get::<u16>()), (Some(&7), None));
    }
}
