//! Sums, differences and comparisons of allocations.
//!
//! They keep bound and unbound quantities apart, as TensorFlow Serving's `resources/resource_util.cc` does: a quantity
//! of `gpu` is neither more nor less than one of `gpu:0`. Only [`fits`](Allocation::fits) places the one on the other.
//! Nothing wraps around.

use salver_core_status::{Quoted, Status};

use crate::{Allocation, Resource};

impl Allocation {
    /// The two together; `None` where a sum is past what 64 bits hold.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let mut sum = self.clone();
        for (resource, quantity) in other.iter() {
            sum.set(resource.clone(), self.get(resource).checked_add(quantity)?);
        }
        Some(sum)
    }

    /// The two together; a sum past what 64 bits hold stays at the most they hold.
    #[must_use]
    pub fn saturating_add(&self, other: &Self) -> Self {
        self.joined(other, u64::saturating_add)
    }

    /// What is left when `other` is taken away; `None` where there is less of something than is to be taken.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        let mut rest = self.clone();
        for (resource, quantity) in other.iter() {
            rest.set(resource.clone(), self.get(resource).checked_sub(quantity)?);
        }
        Some(rest)
    }

    /// What is left when as much of `other` as there is is taken away.
    #[must_use]
    pub fn saturating_sub(&self, other: &Self) -> Self {
        self.joined(other, u64::saturating_sub)
    }

    /// All of it so many times; `None` where a product is past what 64 bits hold.
    pub fn checked_mul(&self, times: u64) -> Option<Self> {
        let mut product = Self::none();
        for (resource, quantity) in self.iter() {
            product.set(resource.clone(), quantity.checked_mul(times)?);
        }
        Some(product)
    }

    /// Of each resource the larger of the two quantities.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        self.joined(other, u64::max)
    }

    /// Of each resource the smaller of the two quantities: nothing of what only one has.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        // What `other` has alone is nothing on this side, and the smaller of nothing and something is nothing.
        self.iter()
            .map(|(resource, quantity)| (resource.clone(), quantity.min(other.get(resource))))
            .collect()
    }

    /// Whether all of it can be placed in `room`, which is bound: the bound quantities where they belong, and of what
    /// they leave, each unbound quantity whole on some one instance.
    ///
    /// Each on its own: unbound quantities of two kinds may be placed on two instances of the device. What `room` does
    /// not name has no room.
    pub fn fits(&self, room: &Self) -> bool {
        self.shortages(|| room.iter()).next().is_none()
    }

    /// The quantities that find no place, given every place and how much room there is, each with the one that has the
    /// most room for it; `None` where there is no such place.
    pub(crate) fn shortages<'a, Room>(
        &'a self,
        room: impl Fn() -> Room + 'a,
    ) -> impl Iterator<Item = Shortage<'a>>
    where
        Room: Iterator<Item = (&'a Resource, u64)>,
    {
        self.iter().filter_map(move |(resource, wanted)| {
            let left = |place: &Resource, room: u64| match resource.instance {
                Some(_) => room,
                None => room.saturating_sub(self.get(place)),
            };
            let best = room()
                .filter(|(place, _)| resource.may_be(place))
                .map(|(place, room)| (left(place, room), place))
                .max_by_key(|(left, _)| *left);
            let free = best.map_or(0, |(free, _)| free);
            (wanted > free).then_some(Shortage {
                resource,
                wanted,
                free,
                place: best.map(|(_, place)| place),
            })
        })
    }

    /// Checks that every resource names the instance.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, naming the first that does not.
    pub fn check_bound(&self) -> Result<(), Status> {
        match self.iter().find(|(resource, _)| resource.instance.is_none()) {
            None => Ok(()),
            Some((resource, _)) => Err(Status::invalid_argument(format!(
                "the resource {} does not say which instance of the device",
                Quoted(&resource.to_string())
            ))),
        }
    }

    fn joined(&self, other: &Self, join: impl Fn(u64, u64) -> u64) -> Self {
        let mut joined = self.clone();
        for (resource, quantity) in other.iter() {
            joined.set(resource.clone(), join(self.get(resource), quantity));
        }
        joined
    }
}

/// A quantity that finds no place.
pub(crate) struct Shortage<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) wanted: u64,
    pub(crate) free: u64,
    pub(crate) place: Option<&'a Resource>,
}

#[cfg(test)]
mod tests;
